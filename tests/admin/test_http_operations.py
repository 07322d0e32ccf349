"""The operations on broker and worker by HTTP, and the OpenAPI document."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer
from zope.interface.verify import verifyObject

from alaska import errors
from alaska.access import Level
from alaska.admin import requests, snapshots
from alaska.admin.http.messages import Messages
from alaska.admin.http.operations import operation_routes
from alaska.admin.http.requests import Requests
from alaska.admin.http.routes import Route
from alaska.admin.http.table import event_routes, message_routes
from alaska.admin.operations import BROKER, WORKER, IAdministered, Operation
from alaska.errors import OperationFailed, StoreError
from tests.admin.http_case import HTTPCase

JSON = "Content-Type: application/json"


@implementer(IAdministered)
class Administered:
    """Records what is asked, and answers with what the test says."""

    def __init__(self, operations: Any) -> None:
        self.operations: dict[str, Operation] = operations
        self.asked: list[tuple[str, Struct, str]] = []
        self.result: Deferred[Any] = succeed(snapshots.Done(done=True))

    def overview(self) -> Any:
        """See :class:`IAdministered`."""

    def perform(self, name: str, request: Struct, who: str) -> Deferred[Any]:
        """See :class:`IAdministered`."""
        self.asked.append((name, request, who))
        result, self.result = self.result, succeed(snapshots.Done(done=True))
        return result


class OperationsCase(HTTPCase):
    """A site that shows a broker and a worker."""

    def more_routes(self) -> Iterable[Route]:
        self.broker, self.worker = Administered(BROKER), Administered(WORKER)
        routes = operation_routes(self.broker, "/api/v1") + operation_routes(self.worker, "/api/v1/worker")
        nothing: Any = None
        requests = type("Requests", (), dict.fromkeys(dir(Requests), nothing))
        messages: Any = type("Messages", (), {**dict.fromkeys(dir(Messages), nothing), "requests": requests})
        return [*routes, *message_routes(messages), *event_routes(type("Events", (), {"read": nothing}))]  # type: ignore[arg-type]

    def last(self) -> tuple[str, Struct, str]:
        """Return what the broker was asked last."""
        return self.broker.asked.pop()


class OperationTests(OperationsCase):
    """Operations."""

    def test_interface(self) -> None:
        """The double implements the interface."""
        verifyObject(IAdministered, self.broker)

    def test_query(self) -> None:
        """What is only read has its arguments in the query, converted to their types."""
        self.broker.result = succeed(snapshots.Page[snapshots.Queue](items=[], total=0))
        answer = self.ask("GET", "/api/v1/queues?limit=7&match=%5Ea%20b&sort=octets")
        self.assertEqual((answer.status, answer.json), (200, {"items": [], "total": 0, "next": None}))
        expected = requests.QueueQuery(limit=7, match="^a b", sort="octets")
        self.assertEqual(self.last(), ("queues", expected, "anonymous (127.0.0.1, HTTP)"))
        self.ask("GET", "/api/v1/letters?status=404")
        self.assertEqual(self.last()[1], requests.LetterQuery(status=404))

    def test_bad_queries(self) -> None:
        """Arguments that are unknown, repeated or out of range are refused."""
        for query in (
            "limit=0",
            "limit=1001",
            "limit=x",
            "sort=up",
            "lmit=1",
            "limit=1&limit=2",
            f"match={'x' * 2000}",
        ):
            self.assertEqual(self.ask("GET", f"/api/v1/queues?{query}").status, 400, query)
        self.assertEqual(self.broker.asked, [])

    def test_changes(self) -> None:
        """What changes something is asked with POST, and has its arguments in the body or the query."""
        answer = self.ask("POST", "/api/v1/pause", JSON, body=b'{"service": "s"}', user="dan")
        self.assertEqual((answer.status, answer.json["done"]), (200, True))
        self.assertEqual(self.last(), ("pause", requests.OneService(service="s"), "dan (127.0.0.1, HTTP)"))
        self.ask("POST", "/api/v1/drop-letter?position=7", user="dan")
        self.assertEqual(self.last()[1], requests.OneLetter(position=7))
        for body in (b"[]", b"{", b'{"service": 1}', b'{"x": 1}', b"\xff", b"[" * 10_000):
            self.assertEqual(self.ask("POST", "/api/v1/pause", JSON, body=body, user="dan").status, 400, body[:20])
        self.assertEqual(self.ask("GET", "/api/v1/pause", user="dan").status, 405)
        self.assertEqual(self.broker.asked, [])

    def test_large_bodies(self) -> None:
        """A body that is larger than its operation needs is not decoded, which would stop all others meanwhile."""
        body = b'{"x": [' + b"[]," * 10_000 + b"[]]}"
        for method, path in (("POST", "pause"), ("GET", "queues"), ("DELETE", "letters/7")):
            self.assertEqual(self.ask(method, f"/api/v1/{path}", JSON, body=body, user="dan").status, 413, path)
        edited = b'{"position": 7, "content": ["%b"]}' % base64.b64encode(b"x" * 15_000)
        self.assertEqual(self.ask("POST", "/api/v1/replay-letter", JSON, body=edited, user="dan").status, 200)

    def test_resources(self) -> None:
        """Some operations have paths like those of the things that they are about; names may have any octets."""
        for method, path, expected in (
            ("GET", "letters/7", ("read-letter", requests.OneLetter(position=7))),
            ("DELETE", "letters/7", ("drop-letter", requests.OneLetter(position=7))),
            ("DELETE", "mailboxes/a%2Fb%FF", ("purge", requests.OneQueue(kind="mailbox", name="a/b\\xff"))),
            ("DELETE", "services/purge", ("purge", requests.OneQueue(kind="service", name="purge"))),
            ("DELETE", "streams/s", ("purge", requests.OneQueue(kind="stream", name="s"))),
            ("DELETE", "clients/3", ("close-client", requests.OneClient(number=3))),
        ):
            self.assertEqual(self.ask(method, f"/api/v1/{path}", user="ann").status, 200, path)
            self.assertEqual(self.last()[:2], expected)
        self.assertEqual(self.ask("DELETE", "/api/v1/letters/x", user="ann").status, 400)
        self.assertEqual(self.ask("DELETE", "/api/v1/mailboxes/a?kind=stream", user="ann").status, 200)
        self.assertEqual(self.last()[1], requests.OneQueue(kind="mailbox", name="a"))

    def test_worker(self) -> None:
        """The worker has a path of its own."""
        self.ask("POST", "/api/v1/worker/drain", user="dan")
        self.assertEqual(self.worker.asked[0][:2], ("drain", requests.Nothing()))
        self.assertEqual(self.broker.asked, [])

    def test_roles(self) -> None:
        """An operation needs the role of its level, also where it is reached by another path."""
        roles = {Level.VIEW: "", Level.OPERATE: "dan", Level.ALL: "ann"}
        lower = {Level.OPERATE: "cid", Level.ALL: "dan"}
        for name, operation in BROKER.items():
            method = "POST" if operation.is_change else "GET"
            if operation.is_in_band_only:
                self.assertEqual(self.ask(method, f"/api/v1/{name}", user="ann").status, 404, name)
                continue
            if operation.level in lower:
                refused = self.ask(method, f"/api/v1/{name}", user=lower[operation.level])
                self.assertEqual(refused.status, 403, name)
            answer = self.ask(method, f"/api/v1/{name}", user=roles[operation.level])
            self.assertIn(answer.status, (200, 400), name)
        self.assertEqual(self.ask("DELETE", "/api/v1/streams/s", user="cid").status, 403)

    def test_rules(self) -> None:
        """Where there are access rules, they must allow it as well."""
        self.gate._may_administer = lambda user, level: user == "ann" and level is Level.VIEW
        self.assertEqual(self.ask("GET", "/api/v1/queues", user="ann").status, 200)
        self.assertEqual(self.ask("POST", "/api/v1/drain", user="ann").status, 403)
        self.assertEqual(self.ask("GET", "/api/v1/queues").status, 403)
        self.assertEqual(self.ask("GET", "/healthz").status, 200)

    def test_failures(self) -> None:
        """An operation that fails is answered with the status and reason of its error."""
        for error, status in (
            (OperationFailed("no such client", errors.NOT_FOUND), 404),
            (OperationFailed("not now", errors.RESOURCE_LOCKED), 409),
            (OperationFailed("bad"), 400),
            (StoreError("disk full"), 503),
        ):
            self.broker.result = fail(error)
            answer = self.ask("POST", "/api/v1/close-client", JSON, body=b'{"number": 1}', user="ann")
            self.assertEqual((answer.status, answer.json["detail"]), (status, str(error)))

    def test_defect(self) -> None:
        """A defect is answered with 500 without its details, and logged."""
        self.broker.result = fail(RuntimeError("secret"))
        answer = self.ask("GET", "/api/v1/overview")
        self.assertEqual(answer.status, 500)
        self.assertNotIn(b"secret", answer.body)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class MethodTests(OperationsCase):
    """Methods and paths."""

    def test_methods(self) -> None:
        """A method that a path does not have is answered with 405 and those that it has."""
        for method in ("PUT", "PATCH", "TRACE", "CONNECT", "PROPFIND", "get", "POST", "DELETE"):
            answer = self.ask(method, "/healthz", user="ann")
            self.assertEqual((answer.status, answer.headers["allow"]), (405, "GET, HEAD, OPTIONS"), method)
        self.assertEqual(self.ask("PUT", "/api/v1/streams/s").headers["allow"], "DELETE, GET, HEAD, OPTIONS, POST")

    def test_options(self) -> None:
        """OPTIONS says which methods there are."""
        answer = self.ask("OPTIONS", "/api/v1/mailboxes/x")
        self.assertEqual((answer.status, answer.headers["allow"]), (204, "DELETE, OPTIONS, POST"))

    def test_head(self) -> None:
        """HEAD has the headers of GET, and no body."""
        got, head = self.ask("GET", "/healthz"), self.ask("HEAD", "/healthz")
        self.assertEqual({**head.headers}, {**got.headers})
        self.assertEqual((head.status, head.body), (200, b""))

    def test_paths(self) -> None:
        """Paths are not normalized, and nothing but the table is answered."""
        for path in (
            "/", "//livez", "/livez/", "/./livez", "/livez;a=b", "/x/../livez", "/%2e%2e/%2e%2e/etc/passwd",
            "/..%2f..%2fetc%2fpasswd",
            "/livez%00", "/livez%0d%0aX:%20y", "/LIVEZ", "/api", "/api/v1", "/api/v1/", "/.git/config",
        ):  # fmt: skip
            self.assertEqual(self.ask("GET", path).status, 404, path)
        for path in ("livez", "*", "http://localhost/livez", "/livez#x", "/%", "/%g0", "/a%2"):
            self.assertEqual(self.ask("GET", path).status, 400, path)

    def test_escapes(self) -> None:
        """An escaped letter is the letter."""
        self.assertEqual(self.ask("GET", "/%6civez").status, 200)


class DocumentTests(OperationsCase):
    """The OpenAPI document."""

    def setUp(self) -> None:
        super().setUp()
        self.document = self.ask("GET", "/api/v1/openapi.json").json

    def references(self, value: Any) -> Iterator[str]:
        """Yield all references in a value."""
        if isinstance(value, dict):
            for key, each in value.items():
                if key == "$ref":
                    yield each
                yield from self.references(each)
        elif isinstance(value, list):
            for each in value:
                yield from self.references(each)

    def test_complete(self) -> None:
        """It has every route, with its arguments, and nothing else."""
        listed = {(method.upper(), path) for path, item in self.document["paths"].items() for method in item}
        self.assertEqual(listed, {(route.method, route.path) for route in self.routes.all})
        operation = self.document["paths"]["/api/v1/queues"]["get"]
        self.assertEqual({each["name"] for each in operation["parameters"]}, {"after", "limit", "match", "sort"})
        request = self.document["paths"]["/api/v1/services/{service}/{subject}"]["post"]
        self.assertLess(
            {"service", "subject", "wait", "Alaska-Tracker"}, {each["name"] for each in request["parameters"]}
        )
        self.assertEqual(set(request["responses"]), {"200", "202", "204", "default"})

    def test_references(self) -> None:
        """All its references lead somewhere, and all its types are used."""
        schemas = self.document["components"]["schemas"]
        used = {reference.rpartition("/")[2] for reference in self.references(self.document)}
        self.assertEqual(used, set(schemas))

    def test_operations(self) -> None:
        """Each operation has an id of its own, a summary, and the names in its path."""
        operations = [(path, each) for path, item in self.document["paths"].items() for each in item.values()]
        ids = [operation["operationId"] for _, operation in operations]
        self.assertEqual(len(ids), len(set(ids)))
        for path, operation in operations:
            self.assertTrue(operation["summary"].endswith("."))
            in_path = [f"{{{each['name']}}}" for each in operation["parameters"] if each["in"] == "path"]
            self.assertEqual(in_path, [part for part in path.split("/") if part.startswith("{")])
            self.assertTrue(set(operation["responses"]) - {"default"})
