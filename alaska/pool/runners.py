"""What makes the runners of a pool, as the settings say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from alaska.config import WorkerSettings
from alaska.lua.request import Call
from alaska.lua.runner import SETTINGS, ScriptSettings
from alaska.pool.batches import batch_runner
from alaska.pool.isolated import IsolatedRunner
from alaska.pool.process import child_command
from alaska.pool.slot import Runner

ADDRESS_SPACE_MEGABYTES = 128


def runner_maker(settings: WorkerSettings, *, tells: bool = True) -> Callable[[Call], Runner]:
    """Return what makes the runners of the pool: of scripts in its threads, or in a process for each of them.

    It is given what answers the questions of scripts, and if ``tells``, takes what they leave while they run.
    """
    scripts = ScriptSettings.from_settings(settings)
    scripts = replace(scripts, lua=replace(scripts.lua, tells=tells))
    if settings.pool_isolation == "thread":
        return partial(batch_runner, scripts)
    return lambda call: IsolatedRunner(
        child_command(),
        SETTINGS.encode(scripts),
        settings.scripts_limit,
        address_space(settings.scripts_memory),
        call,
    )


def address_space(megabytes: int) -> int:
    """Return how many octets a process may map for a script that may use so many megabytes, 0 for any number.

    What Lua refuses to give is less: this is for what gets past it, and must leave room for what is read and sent.
    """
    return (2 * megabytes + ADDRESS_SPACE_MEGABYTES) * 1024 * 1024 if megabytes else 0
