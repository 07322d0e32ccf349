"""The ``alas`` command: send a service request whose content is the standard input.

``alas send`` is the same; ``alas run`` and ``alas check`` are for who writes scripts.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import react
from twisted.python.failure import Failure

from alaska import __version__
from alaska.client import Client, to_text
from alaska.clock import run_on_monotonic_time
from alaska.errors import AlaskaError
from alaska.interfaces import Reactor
from alaska.names import address_of

ROLE = "alas_producer"
"""What the address begins with; the C producer opens with just this, so that two at a time disturb each other."""


COMMANDS = {"run": "alaska.commands.run", "check": "alaska.commands.check"}
"""Imported when they are asked for: who sends must not wait for Lua."""


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    result = argparse.ArgumentParser(
        prog="alas",
        description="Send a service request; its content is the standard input.",
        epilog="""example: echo '{"n":1}' | alas -s dump; other commands: alas run -h, alas check -h""",
    )
    result.add_argument("-e", "--endpoint", default="tcp://127.0.0.1:9999", help="the broker (%(default)s)")
    result.add_argument("-a", "--address", default="default", help="the service that is asked (%(default)s)")
    result.add_argument("-s", "--subject", default="dump", help="the subject, which names the script (%(default)s)")
    result.add_argument(
        "-t",
        "--timeout",
        type=milliseconds,
        default=1000,
        metavar="MS",
        help="how long to wait for the broker, in ms (%(default)s)",
    )
    result.add_argument("--version", action="version", version=f"alas {__version__}")
    return result


def milliseconds(text: str) -> int:
    """Return a number of milliseconds.

    :raises argparse.ArgumentTypeError: it is none.
    """
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of milliseconds")
    return int(text)


async def send(reactor: Reactor, options: argparse.Namespace, content: bytes) -> None:
    """Send one request; when this returns, the broker has it."""
    client = Client(options.endpoint, address_of(ROLE), reactor=reactor)
    await client.connect(timeout=options.timeout / 1000)
    try:
        client.send_for(options.address, options.subject, content)
    finally:
        await client.close(timeout=options.timeout / 1000)


def describe(options: argparse.Namespace, content: bytes) -> str:
    """Return what the command is about to send, as it shows it."""
    return (
        f"Service RQ\n-Endpoint: {options.endpoint}\n-Address: {options.address}\n-Subject: {options.subject}\n"
        f"-Content:\n{to_text(content)}"
    )


def main() -> None:
    """Run the command that is named, or send."""
    arguments = sys.argv[1:]
    command = arguments[0] if arguments else "send"
    if command in COMMANDS:
        import_module(COMMANDS[command]).main(arguments[1:])
    else:
        send_from_input(arguments[1:] if command == "send" else arguments)


def send_from_input(arguments: list[str]) -> None:
    """Send; the exit status is 1 when the broker did not take the request, 2 for a wrong command line."""
    options = parser().parse_args(arguments)
    content = sys.stdin.buffer.read()
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # it is a TextIOWrapper here
    print(describe(options, content), flush=True)

    def run(reactor: Reactor) -> Deferred[None]:
        run_on_monotonic_time(reactor)
        return ensureDeferred(send(reactor, options, content)).addCallbacks(sent, failed)

    react(run)


def sent(_: None) -> None:
    """Say that the broker has the request."""
    print("\n--\nSent!")


def failed(failure: Failure) -> None:
    """Say in a sentence why the broker does not have it, and end with status 1."""
    failure.trap(AlaskaError)
    print(f"alas: {failure.value}", file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
