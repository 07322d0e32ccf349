"""The factory of the pool's runners, chosen by the settings."""

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


def runner_maker(settings: WorkerSettings, *, partial_results: bool = True) -> Callable[[Call], Runner]:
    """Return the factory of runners for ``worker/pool/isolation``: in the pool's threads, or in a process per thread.

    The factory takes the function that answers the calls of scripts. With ``partial_results``, scripts
    also pass it their output and sends while they run.
    """
    scripts = ScriptSettings.from_settings(settings)
    scripts = replace(scripts, lua=replace(scripts.lua, partial_results=partial_results))
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
    """Return the address space limit of a child process in octets, for scripts limited to ``megabytes``; 0 is no limit.

    It is an additional limit and therefore larger than Lua's own limit: requests and results need room too.
    """
    return (2 * megabytes + ADDRESS_SPACE_MEGABYTES) * 1024 * 1024 if megabytes else 0
