"""The ``alas`` command: sends a service request whose content is the standard input.

``alas send`` does the same; ``alas run`` and ``alas check`` are for authors of scripts, the other commands are for
administrators.
"""

from __future__ import annotations

import signal
import sys
from importlib import import_module

from alaska.commands import streams

COMMANDS = {
    "send": "alaska.commands.send",
    "run": "alaska.commands.run",
    "check": "alaska.commands.check",
    "access": "alaska.commands.access",
    "keygen": "alaska.commands.keygen",
    "password": "alaska.commands.password",
    "token": "alaska.commands.token",
    "backup": "alaska.commands.backup",
    "restore": "alaska.commands.restore",
    "tail": "alaska.commands.tail",
    "bind": "alaska.commands.bindings:bind",
    "unbind": "alaska.commands.bindings:unbind",
    "bindings": "alaska.commands.bindings:bindings",
    "readers": "alaska.commands.bindings:readers",
    "schedule": "alaska.commands.schedule",
    "letters": "alaska.commands.letters",
    "pause": "alaska.commands.operate:pause",
    "resume": "alaska.commands.operate:resume",
    "drain": "alaska.commands.operate:drain",
    "purge": "alaska.commands.operate:purge",
    "messages": "alaska.commands.messages:show",
    "cancel": "alaska.commands.messages:cancel",
    "hurry": "alaska.commands.messages:hurry",
}
"""The module of each command, and its function, if that is not ``main``.

They are imported only when used, so that sending does not import Lua.
"""


def main() -> None:
    """Run the command in the first argument, by default ``send``."""
    streams.replace_closed()
    arguments = sys.argv[1:]
    command = "send"
    if arguments and arguments[0] in COMMANDS:
        command, *arguments = arguments
    try:
        module, _, function = COMMANDS[command].partition(":")
        getattr(import_module(module), function or "main")(arguments)
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
    finally:
        streams.flush()


if __name__ == "__main__":
    main()
