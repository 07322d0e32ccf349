"""The metrics of the HTTP endpoint itself (docs/metrics.md)."""

from __future__ import annotations

from collections.abc import Iterator

from alaska.admin.families import Family, Filled, Kind, by, one
from alaska.admin.http.site import Site

ANSWERS = Family("alaska_http_responses_total", Kind.COUNTER, "Answers to requests by HTTP, by status.", ("status",))
CONNECTIONS = Family("alaska_http_connections", Kind.GAUGE, "Connections by HTTP.")
OPENED = Family("alaska_http_connections_opened_total", Kind.COUNTER, "Connections by HTTP that were accepted.")
REFUSED = Family(
    "alaska_http_refused_total", Kind.COUNTER, "Connections and requests that were malformed, too large, late or many."
)
FAMILIES = (ANSWERS, CONNECTIONS, OPENED, REFUSED)
STATUSES = (200, 202, 400, 401, 403, 404, 500, 503)
"""These are shown from the start, so that the first one of them is seen as an increase."""


def figures(site: Site) -> Iterator[Filled]:
    """Return the metrics of an endpoint."""
    # There are as many statuses as the program answers with.
    counts = {**dict.fromkeys(STATUSES, 0), **site.answered}
    yield ANSWERS, by((str(status), count) for status, count in sorted(counts.items()))
    yield CONNECTIONS, one(site.connections)
    yield OPENED, one(site.accepted)
    yield REFUSED, one(site.refused)
