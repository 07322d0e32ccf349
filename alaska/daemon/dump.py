"""The stacks of all threads as text, to find out what a program is doing (SIGQUIT)."""

from __future__ import annotations

import sys
import threading
import traceback
from types import FrameType

MOST_THREADS = 200
MOST_FRAMES = 40


def stacks(interrupted: FrameType | None) -> list[str]:
    """Return a text for each thread, with its innermost frames; ``interrupted`` is the calling thread's own frame."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    me = threading.get_ident()
    found = sys._current_frames()  # documented, for this purpose
    if interrupted is not None:
        found[me] = interrupted
    order = sorted(found, key=lambda ident: (ident != me, ident))
    texts = [_stack(names.get(ident, "?"), found[ident]) for ident in order[:MOST_THREADS]]
    if len(found) > MOST_THREADS:
        texts.append(f"and {len(found) - MOST_THREADS} more threads")
    return texts


def _stack(name: str, frame: FrameType) -> str:
    # extract_stack with a limit keeps the outermost frames if it begins with a frame.
    summary = traceback.extract_stack(frame)
    left_out = max(0, len(summary) - MOST_FRAMES)
    lines = [f"thread {name}:"]
    if left_out:
        lines.append(f"  ... {left_out} outer frames")
    lines += (f"  {each.filename}:{each.lineno} {each.name}" for each in summary[-MOST_FRAMES:])
    return "\n".join(lines)
