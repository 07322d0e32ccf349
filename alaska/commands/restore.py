"""``alas restore``: puts a backup in the place of a broker's store."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from alaska.commands import streams
from alaska.commands.parsing import Parser
from alaska.config import BrokerSettings, zpl
from alaska.daemon.configuration_report import working_folder
from alaska.errors import ConfigurationError, StoreError
from alaska.store.restore import Content, restore, verify

_DESCRIPTION = """\
Put a backup in the place of the store of a broker, which must not run. The
backup is checked first; if it is damaged, or of another program or a newer
version, nothing is changed. The previous store is kept, with another name."""
_EPILOG = """\
exit status: 0 if it is done, 1 if the backup or the store cannot be used

example: alas restore monday.backup --store /var/lib/alaska/broker.db"""


def main(arguments: list[str]) -> None:
    """Restore a store, and print what it has now."""
    parser = Parser(prog="alas restore", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("file", type=Path, metavar="FILE", help="the backup")
    parser.add_argument(
        "--store",
        type=Path,
        metavar="PATH",
        help="the store (default: mlm_server/store/path in the configuration file, or in the environment)",
    )
    parser.add_argument(
        "-c", "--config", type=Path, default=Path(BrokerSettings.file), metavar="FILE",
        help="the broker's configuration file, which names the store (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--check", action="store_true", help="only check the backup, and change nothing")
    options = parser.parse_args(arguments)
    try:
        if options.check:
            content = verify(options.file)
            streams.write_line(f"{options.file} has {_shown(content)}, and can be restored")
        else:
            store = options.store or _configured(options.config)
            restored = restore(options.file, store, time.strftime("-before-restore-%Y%m%dT%H%M%S"))
            content = restored.content
            streams.write_line(f"{store} has {_shown(content)} now")
            if restored.previous is not None:
                streams.write_line(f"the previous store is {restored.previous}")
    except (StoreError, ConfigurationError) as error:
        streams.write_line(f"alas: {error}", sys.stderr)
        raise SystemExit(1) from None
    if not content.has_checksum:
        streams.write_line(f"alas: warning: {options.file} has no checksum: alas backup has not made it", sys.stderr)


def _shown(content: Content) -> str:
    counted = ((content.messages, "message"), (content.letters, "dead letter"), (content.records, "stream record"))
    messages, letters, records = (f"{count} {word}{'' if count == 1 else 's'}" for count, word in counted)
    return f"{messages}, {letters} and {records}"


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
