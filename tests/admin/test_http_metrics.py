"""Metrics by HTTP."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from alaska.admin.families import Family, Kind, Selected, by, one
from alaska.admin.http.figures import figures
from alaska.admin.http.metrics import MetricsPages
from alaska.admin.http.routes import Route
from alaska.admin.metrics import DetailsPage, MetricsPage
from alaska.admin.pages import Matches
from alaska.admin.process_metrics import system_metrics
from tests.admin.http_case import HTTPCase

DEPTH = Family("alaska_depth", Kind.GAUGE, "What waits.")
EACH = Family("alaska_detailed_depth", Kind.GAUGE, "What waits in each.", ("service",))
NAMES = (b"red", b"green", b"gr\xc3\xbcn")


def each(matches: Matches, most: int) -> Selected:
    """Return the depth of each service that matches."""
    return Selected([(EACH, by([(name.decode(), 1.0) for name in NAMES if matches(name)][:most]))])


class MetricsTests(HTTPCase):
    """The two pages."""

    def more_routes(self) -> Iterable[Route]:
        """Return the routes of metrics."""
        self.now = 0.0
        page = MetricsPage([lambda: [(DEPTH, one(3.0))]], system_metrics())
        return MetricsPages(page, DetailsPage({"services": each}, clock=self.tell)).routes()

    def tell(self) -> float:
        """Return the time; it takes a millisecond to do so."""
        self.now += 0.001
        return self.now

    def test_metrics(self) -> None:
        """All metrics are at /metrics, with those of the process."""
        got = self.ask("GET", "/metrics")
        self.assertEqual(got.status, 200)
        self.assertTrue(got.headers["content-type"].startswith("text/plain; version="), got.headers)
        self.assertIn(b"alaska_depth 3.0\n", got.body)
        self.assertIn(b"process_resident_memory_bytes ", got.body)

    def test_openmetrics(self) -> None:
        """Prometheus asks for OpenMetrics, and gets it."""
        got = self.ask("GET", "/metrics", "Accept: application/openmetrics-text; version=1.0.0,text/plain;q=0.2")
        self.assertTrue(got.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0"))
        self.assertTrue(got.body.endswith(b"# EOF\n"))

    def test_strange_accept(self) -> None:
        """Whatever the header Accept is, there is an answer."""
        openmetrics = "application/openmetrics-text"
        for accept in (
            "",
            "*/*",
            "text/html",
            ";;;",
            "\xff",
            f"{openmetrics};version=9;q=x",
            f"{openmetrics};version=a",
        ):
            self.assertEqual(self.ask("GET", "/metrics", f"Accept: {accept}").status, 200, accept)

    def test_detailed(self) -> None:
        """Details show what matches the pattern."""
        for query, names in (("?service=^gr", (b"green", b"gr\xc3\xbcn")), ("?family=services", NAMES)):
            self.now += 10.0
            got = self.ask("GET", f"/metrics/detailed{query}")
            self.assertEqual([name for name in NAMES if b'"%s"' % name in got.body], [n for n in NAMES if n in names])

    def test_rules(self) -> None:
        """Where there are access rules, details need their permission to view; the sums do not."""
        self.gate._may_administer = lambda _user, _level: False
        self.assertEqual(self.ask("GET", "/metrics/detailed").status, 403)
        self.assertEqual(self.ask("GET", "/metrics").status, 200)

    def test_escaped(self) -> None:
        """The pattern may have any character, with percent escapes."""
        self.assertIn('"grün"'.encode(), self.ask("GET", "/metrics/detailed?service=%C3%BC").body)

    def test_refused(self) -> None:
        """Unknown families, bad patterns and unknown arguments are refused."""
        for query, word in (("?family=cats", "services"), ("?service=(", "pattern"), ("?cat=1", "cat")):
            got = self.ask("GET", f"/metrics/detailed{query}")
            self.assertEqual(got.status, 400)
            self.assertIn(word, got.json["title"] + got.json.get("detail", ""))

    def test_too_often(self) -> None:
        """Who asks for details too often gets 503."""
        self.ask("GET", "/metrics/detailed")
        got = self.ask("GET", "/metrics/detailed")
        self.assertEqual((got.status, got.headers["retry-after"]), (503, "1"))
        self.now += 1.0
        self.assertEqual(self.ask("GET", "/metrics/detailed").status, 200)

    def test_read_only(self) -> None:
        """Metrics cannot be changed."""
        self.assertEqual(self.ask("POST", "/metrics", user="ann").status, 405)


class TokenTests(HTTPCase):
    """Metrics where a token is needed."""

    is_open = False

    def more_routes(self) -> Iterable[Route]:
        """Return the routes of metrics."""
        return MetricsPages.of([], {"services": each}).routes()

    def test_token(self) -> None:
        """Who may view sees metrics; without a token, there are none."""
        for path in ("/metrics", "/metrics/detailed"):
            self.assertEqual(self.ask("GET", path).status, 401)
            self.assertEqual(self.ask("GET", path, user="bob").status, 200)


class EndpointTests(HTTPCase):
    """The metrics of the endpoint itself."""

    def values(self) -> dict[str, dict[tuple[str, ...], Any]]:
        """Return all values by name and labels."""
        return {family.name.removeprefix("alaska_http_"): dict(values) for family, values in figures(self.site)}

    def test_statuses(self) -> None:
        """Answers are counted by status; the frequent ones are shown before they occur."""
        self.assertEqual(self.values()["responses_total"]["401",], 0)
        self.ask("GET", "/livez")
        self.ask("GET", "/livez", "Authorization: Bearer wrong")
        self.ask("GET", "/nowhere")
        counts = self.values()["responses_total"]
        self.assertEqual((counts["200",], counts["401",], counts["404",]), (1, 1, 1))

    def test_connections(self) -> None:
        """Connections are counted, and so is what is malformed."""
        connection = self.connect()
        connection.send(b"nonsense\r\n\r\n")
        shown = self.values()
        self.assertEqual(
            [shown[name][()] for name in ("connections", "connections_opened_total", "refused_total")], [1, 1, 1]
        )
        connection.drop()
        self.assertEqual(self.values()["connections"][()], 0)
