"""Delays, ids and other terms of messages by HTTP, and cancelling, with a broker in memory."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from alaska.admin.http import message_terms
from alaska.admin.http.message_terms import REQUEST_TERMS
from alaska.admin.http.routes import Asked
from alaska.admin.snapshots import Done
from alaska.broker import terms as broker_terms
from alaska.client import Client, Delivery
from alaska.client.terms import to_terms
from alaska.errors import HTTPRefused
from tests.admin.http_case import Got
from tests.admin.messages_case import MessagesCase

PATH = "/api/v1/services/s/x"
TEXTS = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=40),
    st.from_regex(r"[0-9]{1,16}(\.[0-9]{1,9})?(ms|s|m|h|d)?(\.\.[0-9]{1,12}(ms|s|m|h|d)?)?", fullmatch=True),
    st.datetimes(timezones=st.just(timezone.utc)).map(datetime.isoformat),
    st.sampled_from(["keep", "replace", "4", "1001", "a%FF%00", "%"]),
)


class Searching:
    """A broker in which cancelling takes long."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.going_on: list[Deferred[Done]] = []

    def is_in_flight(self, service: bytes, tracker: bytes) -> Deferred[bool]:
        """No worker has it."""
        return succeed(False)

    def cancel_own(self, address: bytes, service: bytes, tracker: bytes, force: bool) -> Deferred[Done]:
        """Begin to search."""
        self.asked.append(tracker)
        self.going_on.append(Deferred())
        return self.going_on[-1]


class TermsCase(MessagesCase):
    """Requests with terms, and a worker that answers when the test says so."""

    def slow_worker(self) -> tuple[Client, list[Delivery]]:
        """Return a worker of the service `s`, and the list of its requests."""
        client, got = self.client("slow")
        client.offer("s", ".*")
        self.pass_time(0.2)
        return client, got

    def about(self, method: str, path: str, user: str = "cid") -> Got:
        """Ask about a request."""
        (answer,) = self.begin(method, f"/api/v1/requests/{path}", user=user).answers
        return answer

    def state(self, tracker: str) -> str:
        """Return the state of a request."""
        return str(self.about("GET", tracker).json["state"])


class TermTests(TermsCase):
    """The headers of the terms."""

    def test_delay(self) -> None:
        """A delayed request is accepted at once, is shown as delayed, and is delivered when it is due."""
        _, got = self.slow_worker()
        answer = self.post(PATH, "Alaska-Delay: 1.5m", "Alaska-Tracker: T")
        self.assertEqual(answer.status, 202)
        found = self.about("GET", "T").json
        self.assertEqual((found["state"], round(found["due"] - found["sent"], 3)), ("delayed", 90))
        self.wall += 80
        self.pass_time(80)
        self.assertEqual(([], "delayed"), (got, self.state("T")))
        self.wall += 11
        self.pass_time(11)
        self.assertEqual((len(got), self.state("T")), (1, "running"))

    def test_delay_and_wait(self) -> None:
        """Who waits for a delayed request gets 202 if it does not end meanwhile, and else its reply."""
        self.worker(200, b"reply")
        path = "/api/v1/services/s%2F1/x"
        short = self.begin("POST", f"{path}?wait=1", "Alaska-Delay: 2s")
        long = self.begin("POST", f"{path}?wait=5", "Alaska-Delay: 2s")
        self.pass_time(4)
        self.assertEqual([answer.status for answer in short.answers], [202])
        self.assertEqual([answer.body for answer in long.answers], [b"reply"])

    def test_time(self) -> None:
        """A request is not delivered before a time, with or without a fraction, in any time zone."""
        _, got = self.slow_worker()
        due = datetime.fromtimestamp(self.wall + 60, timezone.utc)
        east = due.astimezone(timezone(timedelta(hours=2)))
        for written in (f"{due:%Y-%m-%dT%H:%M:%S}.1234567Z", east.isoformat(), f"{due:%Y-%m-%d %H:%M:%S}z"):
            self.assertEqual(self.post(PATH, f"Alaska-At: {written}").status, 202, written)
        self.wall += 55
        self.pass_time(55)
        self.assertEqual(got, [])
        self.wall += 7
        self.pass_time(7)
        self.assertEqual(len(got), 3)

    def test_priority(self) -> None:
        """A request with a higher priority is delivered first."""
        for tracker, priority in (("low", 1), ("normal", 4), ("high", 9)):
            self.post(PATH, f"Alaska-Priority: {priority}", f"Alaska-Tracker: {tracker}")
        _, got = self.slow_worker()
        self.assertEqual([each.tracker for each in got], ["high", "normal", "low"])

    def test_plan(self) -> None:
        """The retry plan of a request goes with it."""
        _, got = self.slow_worker()
        self.post(PATH, "Alaska-Attempts: 6", "Alaska-Backoff: 2s..10m")
        properties = got[0].command.properties
        self.assertEqual((properties["attempts"], properties["backoff"]), (6, "2000 600000"))

    def test_ttl(self) -> None:
        """Mail that is not fetched within its time to live is dropped."""
        for box, headers in (("short", ["Alaska-Ttl: 5s"]), ("long", [])):
            self.assertEqual(self.post(f"/api/v1/mailboxes/{box}", *headers, body=b"a").status, 202)
        self.pass_time(6)
        self.assertEqual([len(self.client(box)[1]) for box in ("short", "long")], [0, 1])

    def test_refused(self) -> None:
        """A term that is not valid, or that does not fit, is refused with 400, and nothing is sent."""
        _, got = self.slow_worker()
        for headers in (
            ["Alaska-Delay: soon"],
            ["Alaska-Delay: -1s"],
            ["Alaska-Delay: 999999999999999d"],
            ["Alaska-Delay: 1s", "Alaska-Delay: 1s"],
            ["Alaska-Delay: 1s", "Alaska-At: 2026-12-01T08:00Z"],
            ["Alaska-At: 2026-12-01T08:00"],
            ["Alaska-At: 1900-12-01T08:00Z"],
            ["Alaska-At: 0001-01-01T00:00+14:00"],
            [f"Alaska-At: 2026-12-01T08:00:00.{'1' * 2000}Z"],
            ["Alaska-Priority: 10"],
            ["Alaska-Id:"],
            [f"Alaska-Id: {'x' * 256}"],
            ["Alaska-Unique-For: 1m"],
            ["Alaska-Unique-Mode: replace"],
            ["Alaska-Id: a", "Alaska-Unique-Mode: other"],
            ["Alaska-Attempts: 0"],
            ["Alaska-Backoff: 10m..2s"],
            ["Alaska-Ttl: \u00b3s"],
            ["Alaska-Unique: 1"],
        ):
            self.assertEqual(self.post(PATH, *headers).status, 400, headers)
        self.assertEqual(got, [])
        self.assertEqual(self.post("/api/v1/mailboxes/box", "Alaska-Backoff: 1s..2s").status, 400)
        self.assertEqual(self.post("/api/v1/streams/news", "Alaska-Delay: 1s").status, 400)

    def test_far_times(self) -> None:
        """The longest delay that the broker allows is accepted."""
        self.assertEqual(self.post(PATH, f"Alaska-Delay: {2**53 // 1000}s", "Alaska-Tracker: T").status, 202)
        self.assertEqual(self.state("T"), "delayed")


class IdTests(TermsCase):
    """Messages with ids."""

    def second(self, path: str = PATH, *headers: str) -> Got:
        """Send a message with the id a, after one with the tracker T that has it, too."""
        self.assertNotIn("duplicate", self.post(path, "Alaska-Id: a", "Alaska-Tracker: T").json)
        return self.post(path, "Alaska-Id: a", "Alaska-Tracker: U", *headers)

    def test_second(self) -> None:
        """A second request with an id is not kept; its answer and its state say so, and it ends as the first one."""
        client, got = self.slow_worker()
        answer = self.second()
        self.assertEqual((answer.status, answer.json), (202, {"tracker": "U", "duplicate": True, "position": 1}))
        found = self.about("GET", "U").json
        self.assertEqual((found["state"], found["duplicate"], found["position"]), ("waiting", True, 1))
        self.assertEqual(len(got), 1)
        client.send_to(got[0].sender, "x", b"reply", tracker="T")
        client.confirm(got[0])
        self.pass_time(0.5)
        self.assertEqual(self.about("GET", "T/reply").body, b"reply")
        late = self.about("GET", "U/reply")
        self.assertEqual((late.status, late.headers["alaska-duplicate"], self.state("U")), (204, "1", "done"))

    def test_wait(self) -> None:
        """Who waits for a second request gets the outcome of the first one, or 202 if that has none in time."""
        client, got = self.slow_worker()
        self.second()
        waiting = self.begin("POST", f"{PATH}?wait=5", "Alaska-Id: a")
        early = self.begin("POST", f"{PATH}?wait=1", "Alaska-Id: a")
        self.pass_time(1)
        self.assertEqual([(each.status, each.json["duplicate"]) for each in early.answers], [(202, True)])
        client.confirm(got[0], 502, "because")
        self.pass_time(1)
        self.assertEqual([(each.status, each.json["mlm_status"]) for each in waiting.answers], [(502, 502)])

    def test_known_outcome(self) -> None:
        """If the first one has ended, who waits gets its outcome at once; without a wait, the answer is 202."""
        self.worker()
        path = "/api/v1/services/s%2F1/x"
        self.assertEqual(self.post(f"{path}?wait=1", "Alaska-Id: a").status, 204)
        answer = self.post(f"{path}?wait=1", "Alaska-Id: a")
        self.assertEqual((answer.status, answer.headers["alaska-duplicate"]), (204, "1"))
        self.assertEqual(self.post(path, "Alaska-Id: a").json["duplicate"], True)

    def test_window(self) -> None:
        """The id is known for as long as the message says."""
        self.post(PATH, "Alaska-Id: a", "Alaska-Unique-For: 10s")
        self.pass_time(11)
        self.assertNotIn("duplicate", self.post(PATH, "Alaska-Id: a").json)

    def test_octets(self) -> None:
        """An id is percent-decoded, as trackers are."""
        self.post(PATH, "Alaska-Id: a%FF")
        other, _ = self.client("other")
        other.send_for("s", "x", id=b"a\xff")
        self.assertEqual([each.sender for each in self.slow_worker()[1]], ["HTTP::1"])

    def test_replaced(self) -> None:
        """A request that a later one replaces is answered with 410, and shown as replaced."""
        waiting = self.begin("POST", f"{PATH}?wait=5", "Alaska-Id: a", "Alaska-Tracker: T")
        self.post(PATH, "Alaska-Id: a", "Alaska-Unique-Mode: replace")
        self.pass_time(0.5)
        self.assertEqual([(each.status, each.json["mlm_status"]) for each in waiting.answers], [(410, 204)])
        self.assertEqual(self.state("T"), "replaced")

    def test_mail(self) -> None:
        """A second mail with an id is not kept, either."""
        answer = self.second("/api/v1/mailboxes/box")
        self.assertEqual((answer.status, answer.json), (202, {"tracker": "U", "duplicate": True, "position": 1}))
        self.assertEqual(len(self.client("box")[1]), 1)


class CancelTests(TermsCase):
    """Requests that are cancelled."""

    def test_waiting(self) -> None:
        """A request that waits or is delayed is taken out, and who waits for it gets 410."""
        for headers in ([], ["Alaska-Delay: 1m"]):
            waiting = self.begin("POST", f"{PATH}?wait=5", "Alaska-Tracker: T", *headers)
            answer = self.about("DELETE", "T")
            self.assertEqual((answer.status, answer.json["state"], answer.json["mlm_status"]), (200, "cancelled", 410))
            self.assertEqual([each.status for each in waiting.answers], [410])
        self.pass_time(61)
        self.assertEqual(self.slow_worker()[1], [])

    def test_running(self) -> None:
        """A worker that has the request is told, with force if that is wanted, and the state tells the end."""
        for query, is_forced in (("", False), ("?force=1", True)):
            told: list[Any] = []
            worker, got = self.client("w", cancelled=told.append)
            worker.offer("s", ".*")
            self.post(PATH, "Alaska-Tracker: T")
            self.assertEqual(self.about("DELETE", f"T{query}").json["state"], "running")
            self.assertEqual([each.is_forced for each in told], [is_forced])
            worker.confirm(got[-1], 410, "cancelled")
            self.pass_time(0.5)
            self.assertEqual(self.state("T"), "cancelled")
            worker.close()
            self.pass_time(0.5)

    def test_wait(self) -> None:
        """With `wait`, the answer comes when a running request has ended."""
        worker: Client
        got: list[Delivery]
        worker, got = self.client("w", cancelled=lambda _: worker.confirm(got[0], 410))
        worker.offer("s", ".*")
        self.post(PATH, "Alaska-Tracker: T")
        self.assertEqual(self.about("DELETE", "T?wait=1").json["state"], "cancelled")

    def test_ended(self) -> None:
        """A request that has ended cannot be cancelled."""
        self.worker()
        self.post("/api/v1/services/s%2F1/x?wait=1", "Alaska-Tracker: T")
        self.assertEqual(self.about("DELETE", "T").status, 409)

    def test_others(self) -> None:
        """Only the own request is cancelled, not one that another user or client has sent with its tracker."""
        other, _ = self.client("other")
        other.send_for("s", "x", tracker="T")
        self.post(PATH, "Alaska-Tracker: T")
        self.post(PATH, "Alaska-Tracker: U", user="ann")
        self.assertEqual(self.about("DELETE", "U").status, 404)
        self.assertEqual(self.about("DELETE", "T").status, 200)
        _, got = self.slow_worker()
        self.assertEqual([(each.sender, each.tracker) for each in got], [("other", "T"), ("HTTP::1", "U")])

    def test_second(self) -> None:
        """One that was not kept, since its id is known, is not in the broker, and cannot be cancelled."""
        self.post(PATH, "Alaska-Id: a", "Alaska-Tracker: T")
        self.post(PATH, "Alaska-Id: a", "Alaska-Tracker: U")
        self.assertEqual(self.about("DELETE", "U").status, 404)
        self.assertEqual(self.state("T"), "waiting")

    def test_several(self) -> None:
        """Several are cancelled at the same time."""
        for tracker in "TUV":
            self.post(PATH, f"Alaska-Tracker: {tracker}")
        asked = [self.connect() for _ in range(3)]
        for connection, tracker in zip(asked, "TUV", strict=True):
            head = (
                f"DELETE /api/v1/requests/{tracker} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer T-cid\r\n\r\n"
            )
            connection.send(head.encode())
        self.pass_time(0.5)
        self.assertEqual([each.answers[0].json["state"] for each in asked], ["cancelled"] * 3)

    def test_in_turn(self) -> None:
        """Who cancels many requests does not keep others waiting until all of them are cancelled."""
        searching = Searching()
        self.messages.requests._broker = searching
        for tracker in "TUV":
            self.post(PATH, f"Alaska-Tracker: {tracker}")
        self.post(PATH, "Alaska-Tracker: W", user="ann")
        for tracker, user in (("T", "cid"), ("U", "cid"), ("V", "cid"), ("W", "ann")):
            self.begin("DELETE", f"/api/v1/requests/{tracker}", user=user)
        while searching.going_on:
            searching.going_on.pop(0).callback(Done())
            self.pass_time(2.0)
        self.assertEqual(searching.asked, [b"T", b"W", b"U", b"V"])
        self.assertEqual(self.messages.requests._cancelling_of, {})

    def test_no_broker(self) -> None:
        """Without a broker, the answer is 503."""
        self.post(PATH, "Alaska-Tracker: T")
        self.broker.stopService()
        self.assertEqual(self.about("DELETE", "T").status, 503)


class AnyTermTests(SynchronousTestCase):
    """Whatever the headers are."""

    @given(st.dictionaries(st.sampled_from([header.name for header in REQUEST_TERMS]), TEXTS))
    def test_any(self, values: dict[str, str]) -> None:
        """The terms are refused with 400, or the broker accepts them."""
        headers = {name.lower(): text.encode("latin-1") for name, text in values.items()}
        try:
            terms = message_terms.terms_of(Asked(headers=headers))
        except HTTPRefused as error:
            self.assertEqual(error.http_status, 400)
            return
        broker_terms.terms_of(to_terms(terms))
        self.assertGreaterEqual(message_terms.seconds_until_due(terms, 1_800_000_000.0), 0)
