"""The settings of traces, which worker and broker share (docs/traces.md)."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from alaska.config.entries import setting
from alaska.config.kinds import FLAG

EXTRA = "alaska-workers[traces]"


def spans(path: str) -> bool:
    """Declare the setting that turns spans on."""
    return setting(
        path,
        FLAG,
        "0",
        "Record spans and export them by OpenTelemetry, which `OTEL_` variables configure (docs/traces.md).",
    )


def conflicts(path: str, is_wanted: bool) -> Iterable[str]:
    """Return a sentence if spans are wanted and OpenTelemetry is not installed."""
    if is_wanted and (find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None):
        yield f'{path} needs OpenTelemetry, which "pip install {EXTRA}" installs'
