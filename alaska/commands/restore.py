"""``alas restore``: puts a backup in the place of a broker's store."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from alaska.commands import streams
from alaska.commands.parsing import Parser
from alaska.config import BrokerSettings, zpl
from alaska.errors import ConfigurationError, StoreError
from alaska.store.restore import restore

_DESCRIPTION = """\
Put a backup in the place of the store of a broker, which must not run. The
backup is checked first; if it is damaged, or of another program or a newer
version, nothing is changed. The previous store is kept, with another name."""
_EPILOG = "example: alas restore monday.backup --store /var/lib/alaska/broker.db"


def main(arguments: list[str]) -> None:
    """Restore a store, and print what it has now."""
    parser = Parser(prog="alas restore", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("file", type=Path, metavar="FILE", help="the backup")
    parser.add_argument(
        "--store",
        type=Path,
        metavar="PATH",
        help="the store (default: mlm_server/store/path in malamute.cfg, or in the environment)",
    )
    options = parser.parse_args(arguments)
    try:
        store = options.store or _configured()
        restored = restore(options.file, store, time.strftime("-before-restore-%Y%m%dT%H%M%S"))
    except (StoreError, ConfigurationError) as error:
        streams.write_line(f"alas: {error}", sys.stderr)
        raise SystemExit(1) from None
    messages, letters, records = restored.content
    streams.write_line(f"{store} has {messages} messages, {letters} dead letters and {records} records of streams now")
    if restored.previous is not None:
        streams.write_line(f"the previous store is {restored.previous}")


def _configured() -> Path:
    """Return the path of the store in the settings.

    :raises ConfigurationError: there is none.
    """
    try:
        tree = zpl.load(BrokerSettings.file)
    except FileNotFoundError:
        tree = zpl.Item(zpl.ROOT)
    settings = BrokerSettings.from_tree(tree, os.environ)
    if settings.store_path is None:
        raise ConfigurationError(f"{BrokerSettings.file} names no store (mlm_server/store/path): give --store PATH")
    return settings.store_path
