"""The worker's settings for commands that run scripts; the commands never create the configuration file."""

from __future__ import annotations

import os
from pathlib import Path

import click

from alaska.commands.command import failed
from alaska.commands.values import FILE
from alaska.config import WorkerSettings, zpl
from alaska.errors import ConfigurationError

config_option = click.option(
    "-c",
    "--config",
    type=FILE,
    metavar="FILE",
    help=f"The worker's configuration file (default: {WorkerSettings.file} if it exists, else default settings).",
)
"""The option for the configuration file of a worker; :func:`load` reads it."""


def load(path: Path | None) -> WorkerSettings:
    """Load the given file, or by default the default file if it exists.

    :raises SystemExit: the given file does not exist, or a setting is invalid; the error is printed.
    """
    try:
        tree = zpl.load(WorkerSettings.file if path is None else path)
    except FileNotFoundError:
        if path is not None:
            raise failed(f"there is no file {path}") from None
        tree = zpl.Item(zpl.ROOT)
    except ConfigurationError as error:
        raise failed(str(error)) from None
    try:
        return WorkerSettings.from_tree(tree, os.environ)
    except ConfigurationError as error:
        raise failed(str(error)) from None
