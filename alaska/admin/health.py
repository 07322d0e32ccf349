"""Conditions of a process that works: what broker and worker tell about themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec


class Check(msgspec.Struct, omit_defaults=True):
    """One condition: whether it holds, and why not."""

    name: str
    ok: bool
    reason: str = ""


Checks: TypeAlias = Callable[[], list[Check]]
"""Returns the conditions, as they are now."""
Warnings: TypeAlias = Callable[[], list[str]]
"""Returns what an operator should change although the process works."""


def check(name: str, reason: str | None) -> Check:
    """Return a condition that holds unless there is a reason why not."""
    return Check(name, reason is None, reason or "")
