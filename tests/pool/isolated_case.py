"""What the tests of isolation by process share: a misbehaving child, and a runner with short waits."""

from __future__ import annotations

from alaska.pool.isolated import IsolatedRunner
from alaska.pool.process import child_command
from tests.pool import children

ODD = child_command(children.program("odd"))


class HastyRunner(IsolatedRunner):
    """A runner with short waits."""

    restart_interval = 0.01
    begin_timeout = 0.3
