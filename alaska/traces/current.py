"""The trace context of the request that a Python function serves, which its messages carry."""

from __future__ import annotations

from contextvars import ContextVar

from alaska.traces.context import TraceContext

_current: ContextVar[TraceContext | None] = ContextVar("alaska.trace", default=None)


def current() -> TraceContext | None:
    """Return the context of the request that this task, or this thread, serves; None if it serves none."""
    return _current.get()


def serve_with(context: TraceContext | None) -> None:
    """Let the messages of this task, and of the tasks and threads that it starts from now on, carry a context."""
    _current.set(context)
