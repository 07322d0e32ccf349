"""The ``alas`` command line. Without a command, it sends a service request whose content is the standard input."""

from __future__ import annotations

import signal

import click

from alaska import __version__
from alaska.commands import streams
from alaska.commands.command import Entry, Group, run

_HERE = "alaska.commands"
SECTIONS = {
    "Send and read": {
        "send": Entry(f"{_HERE}.send:send", "Send a request (as alas without a command)."),
        "request": Entry(f"{_HERE}.request:request", "Send a request, and print the answer."),
        "mail": Entry(f"{_HERE}.mail:mail", "Send mail to a mailbox."),
        "inbox": Entry(f"{_HERE}.mail:inbox", "Print the mail of a mailbox, and take it out."),
        "publish": Entry(f"{_HERE}.mail:publish", "Publish a record to a stream."),
        "tail": Entry(f"{_HERE}.tail:tail", "Print the records of a stream, or go on where it was left."),
    },
    "Look at a broker": {
        "status": Entry(f"{_HERE}.status:status", "Show a broker in one look."),
        "top": Entry(f"{_HERE}.top:top", "Show a broker live."),
        "services": Entry(f"{_HERE}.lists:services", "Show the services, and what waits for them."),
        "queues": Entry(f"{_HERE}.lists:queues", "Show all services and mailboxes."),
        "mailboxes": Entry(f"{_HERE}.lists:mailboxes", "Show the mailboxes in which mail waits."),
        "streams": Entry(f"{_HERE}.lists:streams", "Show the streams."),
        "clients": Entry(f"{_HERE}.lists:clients", "Show the clients that are connected."),
        "workers": Entry(f"{_HERE}.lists:workers", "Show the workers."),
        "scripts": Entry(f"{_HERE}.lists:scripts", "Show the scripts: calls, errors, times."),
        "running": Entry(f"{_HERE}.status:running", "Show the requests that run now."),
        "messages": Entry(f"{_HERE}.messages:show", "List messages that wait, are delayed, or run."),
        "find": Entry(f"{_HERE}.find:find", "Find a message, and show what has happened to it."),
        "bindings": Entry(f"{_HERE}.bindings:bindings", "Show the streams that are bound to services."),
        "readers": Entry(f"{_HERE}.bindings:readers", "Show who reads streams, and durable readers."),
    },
    "Operate a broker": {
        "letters": Entry(f"{_HERE}.letters:letters", "Show, resend and drop dead letters."),
        "schedule": Entry(f"{_HERE}.schedule:schedule", "Show and change schedules (cron)."),
        "cancel": Entry(f"{_HERE}.messages:cancel", "Cancel messages."),
        "hurry": Entry(f"{_HERE}.messages:hurry", "Make delayed messages due now."),
        "pause": Entry(f"{_HERE}.operate:pause", "Deliver nothing of a service, or of all."),
        "resume": Entry(f"{_HERE}.operate:resume", "Deliver again."),
        "drain": Entry(f"{_HERE}.operate:drain", "Let a broker refuse new requests."),
        "purge": Entry(f"{_HERE}.operate:purge", "Delete what waits in a queue, or the records of a stream."),
        "bind": Entry(f"{_HERE}.bindings:bind", "Make each record of a stream a request."),
        "unbind": Entry(f"{_HERE}.bindings:unbind", "End a binding."),
        "backup": Entry(f"{_HERE}.backup:backup", "Write a backup of a running broker's store."),
        "restore": Entry(f"{_HERE}.restore:restore_backup", "Put a backup in the place of a store."),
    },
    "Write scripts": {
        "run": Entry(f"{_HERE}.run:run", "Run a script without a broker."),
        "new": Entry(f"{_HERE}.new:new", "Make a script and its test."),
        "test": Entry(f"{_HERE}.test:test", "Run the tests of scripts."),
        "check": Entry(f"{_HERE}.check:check_all", "Find mistakes in scripts; without a path, check a broker."),
    },
    "Set up": {
        "ps": Entry(f"{_HERE}.ps:ps", "Show the brokers and workers on this machine."),
        "doctor": Entry(f"{_HERE}.doctor:doctor", "Find what keeps programs from working, and say what to do."),
        "bench": Entry(f"{_HERE}.bench:bench", "Measure how many requests a broker and its workers take."),
        "completion": Entry(f"{_HERE}.completion:completion", "Let a shell complete commands and options."),
        "context": Entry(f"{_HERE}.context:context", "Keep endpoints and credentials by name."),
        "keygen": Entry(f"{_HERE}.keygen:keygen", "Make a key pair for CURVE."),
        "password": Entry(f"{_HERE}.password:password", "Make a line for the password file of a broker."),
        "token": Entry(f"{_HERE}.token:token", "Make a token for HTTP."),
        "access": Entry(f"{_HERE}.access:access", "Say what a user may do, by the access rules."),
    },
}
"""All commands, as the help lists them."""


@click.group("alas", cls=Group, sections=SECTIONS, default="send", epilog="Each command has -h.")
@click.version_option(__version__, message="%(prog)s %(version)s")
def alas() -> None:
    """Send requests to services, and look after brokers and workers.

    Without a command, alas sends its standard input as a request, with the options of alas send:

        echo '{"n":1}' | alas -s dump
    """


def main() -> None:
    """Run the command that the first argument names, by default ``send``."""
    streams.replace_closed()
    try:
        raise SystemExit(run(alas, "alas"))
    except (KeyboardInterrupt, click.Abort):
        raise SystemExit(128 + signal.SIGINT) from None
    finally:
        streams.flush()


if __name__ == "__main__":
    main()
