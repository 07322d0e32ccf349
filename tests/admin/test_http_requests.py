"""Requests by HTTP and what becomes of them, with a broker in memory."""

from __future__ import annotations

from twisted.internet.defer import ensureDeferred
from twisted.python.failure import Failure

from alaska import errors
from alaska.admin.http import outcomes
from alaska.admin.http.message_fields import STATUSES
from alaska.admin.http.messages import Messages
from alaska.admin.http.requests import STORED_SECONDS
from alaska.admin.http.routes import Asked
from alaska.client import Client, Delivery
from alaska.traces.context import TraceContext
from tests.admin.http_case import Got
from tests.admin.messages_case import MessagesCase


class RequestsCase(MessagesCase):
    """Requests, and a worker that answers when the test says so."""

    def get(self, path: str, user: str = "cid") -> Got:
        """Ask what became of a request."""
        (answer,) = self.begin("GET", f"/api/v1/requests/{path}", user=user).answers
        return answer

    def slow_worker(self) -> tuple[Client, list[Delivery]]:
        """Return a worker of the service `s`, and the list of its requests."""
        client, got = self.client("slow")
        client.offer("s", ".*")
        self.pass_time(0.2)
        return client, got


class RequestTests(RequestsCase):
    """Requests."""

    def test_reply(self) -> None:
        """With `wait`, the answer is the reply, octet by octet, and names are those in the path."""
        got = self.worker(200, b"\0\xff\r\n", headers={"kind": b"a\r\nb%\xff"})
        answer = self.post("/api/v1/services/s%2F1/a%20b%25%FF?wait=5", "Alaska-Header-Lang: de", body=b"\0\xfe")
        self.assertEqual((answer.status, answer.body), (200, b"\0\xff\r\n"))
        self.assertEqual(answer.headers["alaska-header-kind"], "a%0D%0Ab%25%FF")
        self.assertEqual(answer.headers["content-type"], "application/octet-stream")
        self.assertEqual((got[0].command.subject, got[0].content), (b"a b%\xff", (b"\0\xfe",)))
        self.assertEqual(got[0].headers, {"lang": "de"})

    def test_no_reply(self) -> None:
        """A request that ends without a reply is answered with 204."""
        self.worker()
        self.assertEqual(self.post("/api/v1/services/s%2F1/x?wait=5").status, 204)

    def test_trace(self) -> None:
        """The trace context of the request by HTTP is that of the message; an invalid one is dropped."""
        requests, (_, mails), (reader, records) = self.worker(), self.client("box"), self.client("reader")
        reader.consume("news")
        self.pass_time(0.2)
        parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        for headers in (
            (f"traceparent: {parent}", "tracestate: a=b", "Tracestate: c=d"),
            (f"traceparent: {parent}", f"traceparent: {parent}"),
            ("traceparent: 00", "tracestate: a=b"),
        ):
            for path in ("services/s%2F1/x", "services/s%2F1/x?wait=1", "mailboxes/box", "streams/news"):
                self.assertLess(self.post(f"/api/v1/{path}", *headers).status, 300)
        for got in (requests[::2], requests[1::2], mails, records):
            self.assertEqual([each.trace for each in got], [TraceContext(parent.encode(), b"a=b,c=d"), None, None])

    def test_frames(self) -> None:
        """Several frames are in one body, and a header has their lengths, in both directions."""
        got = self.worker(200, b"ab", b"", b"c")
        answer = self.post("/api/v1/services/s%2F1/x?wait=5", "Alaska-Frame-Lengths: 1, 0,2", body=b"xyz")
        self.assertEqual(got[0].content, (b"x", b"", b"yz"))
        self.assertEqual((answer.body, answer.headers["alaska-frame-lengths"]), (b"abc", "2,0,1"))

    def test_accepted(self) -> None:
        """Without `wait`, the answer is the tracker, when the broker has the request."""
        got = self.worker(200, b"reply")
        answer = self.post("/api/v1/services/s%2F1/x", "Alaska-Tracker: T-1")
        self.assertEqual((answer.status, answer.json), (202, {"tracker": "T-1", "offers": 1}))
        self.assertEqual(answer.headers["location"], "/api/v1/requests/T-1")
        self.assertEqual(got[0].tracker, "T-1")
        self.assertEqual(self.post("/api/v1/services/nobody/x").json["offers"], 0)

    def test_late(self) -> None:
        """A request that has not ended when the wait ends is answered with 202; its reply can be fetched later."""
        client, got = self.slow_worker()
        connection = self.begin("POST", "/api/v1/services/s/x?wait=2.5", "Alaska-Tracker: T-1")
        self.pass_time(2.0)
        self.assertEqual(connection.answers, [])
        self.pass_time(0.5)
        accepted = [(answer.status, answer.json) for answer in connection.answers]
        self.assertEqual(accepted, [(202, {"tracker": "T-1", "offers": 1})])
        client.send_to(got[0].sender, "x", b"late", tracker="T-1")
        client.confirm(got[0])
        self.pass_time(0.5)
        self.assertEqual(self.get("T-1/reply").body, b"late")

    def test_statuses(self) -> None:
        """A request that fails is answered with the status for that of the protocol, with its reason."""
        for status, expected in STATUSES.items():
            if status < errors.RESOURCE_LOCKED:
                continue
            with self.subTest(status=status):
                self.setUp()
                self.worker(status)
                answer = self.post("/api/v1/services/s%2F1/x?wait=5")
                self.assertEqual((answer.status, answer.json["mlm_status"]), (expected, status))
                self.assertIn("because", answer.json["detail"])

    def test_nobody_offers(self) -> None:
        """With `wait`, a request for a service that nobody offers waits for a worker, as it does without."""
        connection = self.begin("POST", "/api/v1/services/s%2F1/x?wait=5")
        self.pass_time(1)
        self.assertEqual(connection.answers, [])
        self.worker(200, b"now")
        self.pass_time(1)
        self.assertEqual([answer.body for answer in connection.answers], [b"now"])
        connection = self.begin("POST", "/api/v1/services/nobody/x?wait=0.5")
        self.pass_time(0.5)
        self.assertEqual([(answer.status, answer.json["offers"]) for answer in connection.answers], [(202, 0)])

    def test_expired(self) -> None:
        """A request that expires is answered with 504."""
        connection = self.begin("POST", "/api/v1/services/s/x?wait=9", "Alaska-Timeout: 1.5")
        self.pass_time(3)
        self.assertEqual([answer.status for answer in connection.answers], [504])

    def test_refused(self) -> None:
        """Bad arguments, headers and names are refused with 400, and nothing is sent."""
        got = self.worker()
        path = "/api/v1/services/s%2F1/x"
        for asked, *headers in (
            (f"{path}?wait=x",),
            (f"{path}?wait=-1",),
            (f"{path}?wait=601",),
            (f"{path}?wait=1e1",),
            (f"{path}?wait=1&wait=2",),
            (f"{path}?wiat=1",),
            (f"{path}%zz",),
            (path, "Alaska-Timeout: soon"),
            (path, "Alaska-Tiemout: 1"),
            ("/api/v1/streams/s", "Alaska-Tracker: x"),
            (path, "Alaska-Timeout: 1e9"),
            (path, "Alaska-Frame-Lengths: 2"),
            (path, "Alaska-Frame-Lengths: 1,-1,1"),
            (path, f"Alaska-Frame-Lengths: {'0,' * 1000}1"),
            (path, f"Alaska-Tracker: {'x' * 256}"),
            (path, *(f"Alaska-Header-{n}: x" for n in range(25))),
        ):
            self.assertEqual(self.post(asked, *headers, body=b"a").status, 400, (asked, headers[:1]))
        self.assertEqual(got, [])

    def test_long_names(self) -> None:
        """Names have at most 255 octets, and are not empty."""
        for path in (f"services/{'s' * 256}/x", "services//x", "services/s/", "services/s/a/b"):
            self.assertEqual(self.post(f"/api/v1/{path}").status, 404, path)

    def test_own_services(self) -> None:
        """The broker's own services cannot be reached, as they would not see who asks, and nobody sends in its name."""
        for path in (
            "services/alaska.letters/list?wait=1",
            "services/ALASKA.x/y",
            "mailboxes/alaska.x",
            "streams/alaska.x",
        ):
            self.assertEqual(self.post(f"/api/v1/{path}", user="ann").status, 403, path)

    def test_same_tracker(self) -> None:
        """Two pending requests cannot have the same tracker; a tracker can be used again."""
        client, got = self.slow_worker()
        first = self.begin("POST", "/api/v1/services/s/x?wait=5", "Alaska-Tracker: T-1")
        for path in ("services/s/x?wait=5", "services/s/x", "mailboxes/a"):
            self.assertEqual(self.post(f"/api/v1/{path}", "Alaska-Tracker: T-1").status, 409)
        client.confirm(got[0])
        self.pass_time(0.5)
        self.assertEqual([answer.status for answer in first.answers], [204])
        self.assertEqual(self.post("/api/v1/services/s/x", "Alaska-Tracker: T-1").status, 202)
        self.assertEqual(self.get("T-1").json["state"], "running")

    def test_progress(self) -> None:
        """What the script has told last of how far it is, is shown."""
        client, got = self.slow_worker()
        self.post("/api/v1/services/s/x", "Alaska-Tracker: T-1")
        self.assertNotIn("progress", self.get("T-1").json)
        client.report_progress(got[0], 0.25, "a quarter")
        self.pass_time(0.1)
        found = self.get("T-1").json
        self.assertEqual((found["progress"], found["progress_text"]), (0.25, "a quarter"))

    def test_client_leaves(self) -> None:
        """When the client disconnects, its request stays, and so does what becomes of it."""
        self.begin("POST", "/api/v1/services/s%2F1/x?wait=600", "Alaska-Tracker: T-1").drop()
        self.worker(200, b"reply")
        self.pass_time(0.5)
        self.assertEqual(self.get("T-1/reply").body, b"reply")

    def test_stop(self) -> None:
        """When the process stops, who waits for a request that the broker has is told that it is accepted."""
        self.slow_worker()
        waiting = self.begin("POST", "/api/v1/services/s/x?wait=9", "Alaska-Tracker: T-1")
        stopped = ensureDeferred(self.messages.stop())
        self.pass_time(1)
        self.successResultOf(stopped)
        self.assertEqual([(answer.status, answer.json["tracker"]) for answer in waiting.answers], [(202, "T-1")])

    def test_role(self) -> None:
        """Sending needs a role, and what the access rules say."""
        self.assertEqual(self.post("/api/v1/services/s/x", user="bob").status, 403)
        self.denied = {("cid", "ask", b"s"), ("cid", "send", b"a"), ("cid", "write", b"news")}
        for path in ("services/s/x", "mailboxes/a", "streams/news"):
            answer = self.post(f"/api/v1/{path}")
            self.assertEqual((answer.status, answer.json["mlm_status"]), (403, 401))
            self.assertEqual(self.post(f"/api/v1/{path}", user="dan").status, 202)

    def test_no_broker(self) -> None:
        """Without a broker, requests are answered with 503, and after its return sent again."""
        self.broker.stopService()
        self.pass_time(10)
        self.assertEqual(self.post("/api/v1/services/s/x").status, 503)

    def test_first_connection(self) -> None:
        """What is sent before the first connection is established waits for it."""
        self.messages = Messages(self.reactor, self.make_client, "HTTP::2", lambda *_asked: True, lambda: self.wall)
        self.messages.start()
        asked = Asked({"service": b"nobody", "subject": b"x"}, {"wait": None})
        answering = self.messages.requests.send(asked)
        self.assertNoResult(answering)
        self.pass_time(0.5)
        self.assertEqual(self.successResultOf(answering).status, 202)

    def test_silent_broker(self) -> None:
        """A broker that does not confirm in time is answered with 503."""
        self.broker.stopService()
        connection = self.begin("POST", "/api/v1/services/s/x")
        self.pass_time(STORED_SECONDS)
        self.assertEqual([answer.status for answer in connection.answers], [503])

    def test_refusing_broker(self) -> None:
        """When the broker refuses the connection, another attempt follows later."""
        self.messages._connect_failed(Failure(errors.Refused("no")))
        self.pass_time(6)
        self.assertEqual(self.post("/api/v1/services/nobody/x").status, 202)
        self.assertEqual(len(self.flushLoggedErrors()), 0)


class OutcomeTests(RequestsCase):
    """What becomes of requests whose senders have not waited."""

    def accept(self, *headers: str, tracker: str = "T", path: str = "s/x", user: str = "cid") -> None:
        """Send a request without a wait."""
        answer = self.post(f"/api/v1/services/{path}", f"Alaska-Tracker: {tracker}", *headers, user=user)
        self.assertEqual(answer.status, 202, answer.body)

    def test_progress(self) -> None:
        """A request waits, runs, and is done; its reply can be fetched as often as it is wanted."""
        self.accept()
        found = self.get("T").json
        del found["sent"]
        expected = {"tracker": "T", "service": "s", "subject": "x", "state": "waiting", "offers": 0}
        self.assertEqual(found, expected)
        self.assertEqual(self.get("T/reply").status, 202)
        client, got = self.slow_worker()
        self.assertEqual(self.get("T").json["state"], "running")
        client.send_to(got[0].sender, "x", b"a", b"bc", tracker="T", headers={"kind": b"k"})
        client.confirm(got[0])
        self.pass_time(0.5)
        found = self.get("T").json
        self.assertEqual((found["state"], found["reply_octets"]), ("done", 3))
        self.assertGreaterEqual(found["ended"], found["sent"])
        for _ in range(2):
            answer = self.get("T/reply")
            self.assertEqual((answer.status, answer.body), (200, b"abc"))
            self.assertEqual(answer.headers["alaska-frame-lengths"], "1,2")
            self.assertEqual(answer.headers["alaska-header-kind"], "k")

    def test_no_reply(self) -> None:
        """A request that has ended without a reply is done, and its reply has no content."""
        self.worker()
        self.accept(path="s%2F1/x")
        self.pass_time(0.5)
        self.assertEqual((self.get("T").json["state"], self.get("T").json["reply_octets"]), ("done", 0))
        self.assertEqual(self.get("T/reply").status, 204)

    def test_failed(self) -> None:
        """A request that has failed says why, and its reply is the problem."""
        self.worker(502)
        self.accept(path="s%2F1/x")
        self.pass_time(0.5)
        found = self.get("T").json
        self.assertEqual((found["state"], found["mlm_status"]), ("failed", 502))
        self.assertIn("because", found["reason"])
        self.assertEqual(self.get("T/reply").status, 502)

    def test_wait(self) -> None:
        """Who asks can wait for the end, for a limited time."""
        client, got = self.slow_worker()
        self.accept()
        waiting = self.begin("GET", "/api/v1/requests/T?wait=5")
        given_up = self.begin("GET", "/api/v1/requests/T/reply?wait=1")
        self.pass_time(2)
        self.assertEqual((waiting.answers, [answer.status for answer in given_up.answers]), ([], [202]))
        client.confirm(got[0])
        self.pass_time(1)
        self.assertEqual([answer.json["state"] for answer in waiting.answers], ["done"])
        self.assertEqual(self.get("T?wait=601").status, 400)

    def test_owner(self) -> None:
        """Others do not see a request, whatever their role is, and one who may only view sees none."""
        self.accept()
        self.assertEqual([self.get(path, "ann").status for path in ("T", "T/reply")], [404, 404])
        self.assertEqual(self.get("T", "bob").status, 403)
        self.assertEqual(self.get("other").status, 404)

    def test_refused(self) -> None:
        """A request that the broker refuses is not remembered."""
        self.broker.drain()
        answer = self.post("/api/v1/services/s/x", "Alaska-Tracker: T")
        self.assertEqual((answer.status, answer.json["mlm_status"]), (503, 301))
        self.assertEqual(answer.headers["retry-after"], "10")
        self.assertEqual(self.get("T").status, 404)

    def test_names(self) -> None:
        """Names and trackers can be any octets."""
        self.worker(502)
        answer = self.post("/api/v1/services/s%2F1/a%FF", "Alaska-Tracker: a/%FF%25")
        self.assertEqual((answer.json["tracker"], answer.headers["alaska-tracker"]), ("a/\\xff%", "a/%FF%25"))
        self.assertEqual(answer.headers["location"], "/api/v1/requests/a%2F%FF%25")
        found = self.get("a%2F%FF%25").json
        self.assertEqual((found["tracker"], found["subject"]), ("a/\\xff%", "a\\xff"))

    def test_reason_that_is_not_text(self) -> None:
        """A worker's reason can be any octets."""
        client, got = self.slow_worker()
        self.accept()
        client.confirm(got[0], 502, b"\xff\0")
        self.pass_time(0.5)
        self.assertIn("\\xff\0", self.get("T").json["reason"])
        self.assertIn("\\xff\0", self.get("T/reply").json["detail"])

    def test_many(self) -> None:
        """Of too many requests, the oldest of the user who has most is forgotten."""
        self.patch(outcomes, "MOST_REQUESTS", 3)
        self.accept(tracker="A", user="ann")
        for tracker in "1234":
            self.accept(tracker=tracker)
        self.assertEqual([self.get(tracker).status for tracker in "1234"], [404, 404, 200, 200])
        self.assertEqual(self.get("A", "ann").status, 200)
        # Its tracker is free again, although the request still waits.
        self.accept(tracker="1")

    def test_large_replies(self) -> None:
        """Of too many octets of replies, the oldest one is dropped."""
        self.patch(outcomes, "MOST_REPLY_OCTETS", 5)
        self.worker(200, b"abc")
        for tracker in "12":
            self.accept(tracker=tracker, path="s%2F1/x")
            self.pass_time(0.5)
        self.assertEqual([self.get(f"{tracker}/reply").status for tracker in "12"], [410, 200])
        self.assertIsNone(self.get("1").json.get("reply_octets"))
        self.patch(outcomes, "MOST_REPLY_OCTETS", 2)
        answer = self.post("/api/v1/services/s%2F1/x?wait=2")
        self.assertEqual((answer.status, answer.body), (200, b"abc"))

    def test_age(self) -> None:
        """An hour after its end, a request is forgotten."""
        self.worker()
        self.accept(path="s%2F1/x")
        self.pass_time(0.5)
        self.clock.advance(outcomes.ENDED_SECONDS - 1)
        self.assertEqual(self.get("T").status, 200)
        self.clock.advance(2)
        self.assertEqual(self.get("T").status, 404)
        self.assertEqual(len(self.messages.requests.outcomes), 0)
