"""The pages of metrics: ``/metrics``, and ``/metrics/detailed`` for single objects (docs/metrics.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, isinf

from twisted.internet.defer import Deferred, ensureDeferred

from alaska.access import Level
from alaska.admin.families import Details, Source
from alaska.admin.http.answers import TEXT, Answer
from alaska.admin.http.routes import Asked, Route, text, word
from alaska.admin.http.users import Role
from alaska.admin.metrics import DetailsPage, Exposition, MetricsPage
from alaska.admin.process_metrics import system_metrics
from alaska.errors import AlaskaError, HTTPRefused, OperationFailed, PatternError, Refused
from alaska.mlm.patterns import compile_pattern


class MetricsPages:
    """Answers with metrics."""

    def __init__(self, page: MetricsPage, details: DetailsPage) -> None:
        self._page = page
        self._details = details

    @classmethod
    def of(cls, sources: Sequence[Source], details: dict[str, Details]) -> MetricsPages:
        """Return the pages of these sources, and of the process."""
        return cls(MetricsPage(sources, system_metrics()), DetailsPage(details))

    def routes(self) -> list[Route]:
        """Return the routes."""
        answers = {200: ("Metrics in the format of Prometheus, or OpenMetrics if asked for.", TEXT.decode())}
        routes = [Route("GET", "/metrics", self.metrics, Role.VIEW, "Metrics of the whole process.", answers)]
        if names := self._details.names:
            parameters = (
                word("family", names, "What to show one by one.", names[0]),
                text("service", "A pattern of the names to show (docs/patterns.md); without it, all.", default=""),
            )
            doc = "Metrics of single objects."
            # It shows the names of clients and mailboxes, as the operations do.
            detailed = Route("GET", "/metrics/detailed", self.detailed, Role.VIEW, doc, answers, None, parameters)
            routes.append(replace(detailed, level=Level.VIEW))
        return routes

    def metrics(self, asked: Asked) -> Deferred[Answer]:
        """Answer with all metrics."""
        return ensureDeferred(_answer(self._page.exposition(_accept(asked))))

    def detailed(self, asked: Asked) -> Deferred[Answer]:
        """Answer with the metrics of single objects."""
        try:
            pattern = compile_pattern(asked.arguments["service"].encode("utf-8", "surrogateescape"))
            found = self._details.exposition(asked.arguments["family"], pattern.matches, _accept(asked))
        except PatternError as error:
            raise HTTPRefused(400, f"the argument service is no pattern: {error}") from error
        except Refused as error:
            raise _later(error, self._details.wait(asked.arguments["family"])) from error
        return ensureDeferred(_answer(found))


def _accept(asked: Asked) -> str:
    return asked.headers.get("accept", b"").decode("latin-1")


async def _answer(found: Deferred[Exposition]) -> Answer:
    try:
        content_type, octets = await found
    except OperationFailed as error:
        raise _later(error) from error
    return Answer(200, octets, content_type.encode())


def _later(error: AlaskaError, seconds: float = 0.0) -> HTTPRefused:
    wait = 1 if isinf(seconds) else max(1, ceil(seconds))
    return HTTPRefused(503, str(error), headers={b"Retry-After": b"%d" % wait})
