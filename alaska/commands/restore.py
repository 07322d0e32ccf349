"""``alas restore``: puts a backup in the place of a broker's store."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import click

from alaska.commands import shown, streams
from alaska.commands.command import Command, failed
from alaska.commands.values import FILE
from alaska.config import BrokerSettings, zpl
from alaska.daemon.configuration_report import working_folder
from alaska.errors import ConfigurationError, StoreError
from alaska.store.restore import Content, restore, verify

_EPILOG = """\
exit status:
  0   it is done
  1   the backup or the store cannot be used
  2   the command line is wrong

example: alas restore monday.backup --store /var/lib/alaska/broker.db"""


@click.command("restore", cls=Command, epilog=_EPILOG)
@click.argument("file", type=FILE)
@click.option(
    "--store",
    type=FILE,
    metavar="PATH",
    help="The store (default: mlm_server/store/path in the configuration file, or in the environment).",
)
@click.option(
    "-c", "--config", type=FILE, default=Path(BrokerSettings.file), metavar="FILE",
    help=f"The broker's configuration file, which names the store ({BrokerSettings.file}).",
)  # fmt: skip
@click.option("--check", is_flag=True, help="Only check the backup, and change nothing.")
@shown.json_option
def restore_backup(file: Path, store: Path | None, config: Path, check: bool, as_json: bool) -> None:
    """Put a backup in the place of the store of a broker, which must not run.

    The backup is checked first; if it is damaged, or of another program or a newer version, nothing is changed. The
    previous store is kept, with another name.
    """
    try:
        if check:
            content = verify(file)
            text = f"{file} has {_shown(content)}, and can be restored"
            streams.write_line(shown.either(_fields(content, None, None), text, as_json))
        else:
            store = store or _configured(config)
            restored = restore(file, store, time.strftime("-before-restore-%Y%m%dT%H%M%S"))
            content = restored.content
            text = f"{store} has {_shown(content)} now"
            if restored.previous is not None:
                text += f"\nthe previous store is {restored.previous}"
            streams.write_line(shown.either(_fields(content, store, restored.previous), text, as_json))
    except (StoreError, ConfigurationError) as error:
        raise failed(str(error)) from None
    if not content.has_checksum:
        streams.write_line(f"alas: warning: {file} has no checksum: alas backup has not made it", sys.stderr)


def _shown(content: Content) -> str:
    counted = ((content.messages, "message"), (content.letters, "dead letter"), (content.records, "stream record"))
    messages, letters, records = (f"{count} {word}{'' if count == 1 else 's'}" for count, word in counted)
    return f"{messages}, {letters} and {records}"


def _fields(content: Content, store: Path | None, previous: Path | None) -> dict[str, Any]:
    """Return what was restored, or can be if there is no ``store``, for JSON."""
    paths = {name: None if path is None else str(path) for name, path in (("store", store), ("previous", previous))}
    return {**content._asdict(), **paths}


def _configured(config: Path) -> Path:
    """Return the path of the store in the settings.

    :raises ConfigurationError: there is none.
    """
    try:
        tree = zpl.load(config)
    except FileNotFoundError:
        tree = zpl.Item(zpl.ROOT)
    settings = BrokerSettings.from_tree(tree, os.environ)
    if settings.store_path is None:
        raise ConfigurationError(f"{config} names no store (mlm_server/store/path): give --store PATH")
    # In the background, a broker runs in another folder.
    return working_folder(settings, {}) / settings.store_path
