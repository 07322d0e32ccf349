"""The settings that a command runs scripts with: those of the worker's file, which no command creates."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from alaska.commands import streams
from alaska.config import WorkerSettings, zpl
from alaska.errors import ConfigurationError


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add ``-c`` to a command."""
    parser.add_argument(
        "-c",
        "--config",
        type=Path,
        metavar="FILE",
        help=f"the worker's file (if there is one, {WorkerSettings.file}; else the defaults count)",
    )


def load(path: Path | None) -> WorkerSettings:
    """Return what a file says; without one, what the usual file says, if it is there.

    :raises SystemExit: the file is not there, or a setting in it is bad; the standard error says which.
    """
    try:
        tree = zpl.load(WorkerSettings.file if path is None else path)
    except FileNotFoundError:
        if path is not None:
            streams.say(f"alas: there is no {path}", sys.stderr)
            raise SystemExit(1) from None
        tree = zpl.Item(zpl.ROOT)
    except ConfigurationError as error:
        streams.say(f"alas: {error}", sys.stderr)
        raise SystemExit(1) from None
    try:
        return WorkerSettings.from_tree(tree, os.environ)
    except ConfigurationError as error:
        streams.say(f"alas: {error}", sys.stderr)
        raise SystemExit(1) from None
