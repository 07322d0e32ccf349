"""A base class of tests that answer the requests of scripts, in place of a worker's requester."""

from __future__ import annotations

from collections.abc import Sequence

from alaska.lua.questions import Frames
from alaska.lua.request import Request
from alaska.traces.context import TraceContext
from alaska.worker.requester import Asked


class AnswersEach:
    """Passes each of several requests to :meth:`ask`; their frames are joined."""

    def ask(
        self, service: bytes, subject: bytes, content: bytes, seconds: float, trace: TraceContext | None = None
    ) -> Frames:
        """Answer one request."""
        raise NotImplementedError

    def ask_all(
        self, requests: Sequence[Asked], trace: TraceContext | None = None, owner: Request | None = None
    ) -> list[Frames]:
        """See :class:`alaska.worker.calls.AnyRequester`."""
        return [self.ask(each.service, each.subject, b"".join(each.content), each.seconds, trace) for each in requests]
