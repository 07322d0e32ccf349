"""The parser of the commands' command lines."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from alaska.commands import streams
from alaska.mlm.commands import MAX_STRING_OCTETS


class Parser(argparse.ArgumentParser):
    """An argument parser whose messages never contain a value, which may be a password, and may fail to be written."""

    def __init__(self, prog: str, description: str, epilog: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def parse_args(self, args: list[str]) -> argparse.Namespace:  # type: ignore[override]  # it is all that is used
        """Return the options, or exit with status 2."""
        options, rest = self.parse_known_args(args)
        if rest:
            names = [_option(word) for word in rest if word.startswith("-")]
            self.error(f"unknown option {', '.join(names)}" if names else f"unknown arguments, try {self.prog} -h")
        return options

    def error(self, message: str) -> NoReturn:
        """Print an error and exit with status 2."""
        streams.write_line(f"{self.format_usage()}{self.prog}: error: {message}", sys.stderr)
        raise SystemExit(2)

    def _print_message(self, message: str, file: object = None) -> None:
        is_error = file is sys.stderr
        streams.write(message.encode("utf-8", "backslashreplace"), sys.stderr if is_error else sys.stdout)


def _option(word: str) -> str:
    """Return the name of an option without its value."""
    return word.partition("=")[0] if word.startswith("--") else word[:2]


def name(text: str) -> str:
    """Return a name of the command line unchanged.

    :raises argparse.ArgumentTypeError: it is empty, such as a variable of the shell that is not set, or too long.
    """
    octets = len(text.encode("utf-8", "surrogateescape"))
    if not 1 <= octets <= MAX_STRING_OCTETS:
        raise argparse.ArgumentTypeError(f"a name has 1 to {MAX_STRING_OCTETS} octets, found {octets}")
    return text
