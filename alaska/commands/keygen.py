"""``alas keygen``: makes a key pair for CURVE, as two files, and says what to do with them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click

from alaska.authentication import KeyPair
from alaska.commands import shown, streams
from alaska.commands.command import Command, failed
from alaska.config.certificates import SECRET_SUFFIX
from alaska.errors import ConfigurationError
from alaska.names import printable
from alaska.sockets import curve

SUFFIX: Final = ".cert"
_EPILOG = """\
exit status:
  0   both files have been written
  2   the command line is wrong
  73  a file exists already, or cannot be written
  78  this installation of ZeroMQ has no CURVE

example: alas keygen broker; alas keygen ann"""
_PUBLIC: Final = """\
# Public certificate for CURVE. Give it to those who connect to its owner, or to whom its owner connects.
curve
    public-key = "{pair.public}"
"""
_BOTH_KEYS: Final = """\
# SECRET certificate for CURVE. Do not give it to anybody.
curve
    public-key = "{pair.public}"
    secret-key = "{pair.secret}"
"""
_ADVICE: Final = """\
The public key is {pair.public}
{public} may be copied to anyone; {secret} is SECRET and stays with its owner.

If they are the keys of a broker, in malamute.cfg:
    mlm_server
        security
            mechanism = "curve"
            key = "{secret}"
    server
        auth
            curve = "clients"     # the folder with the public certificates of the clients
If they are the keys of a client or worker:
    copy {public} to the folder of the broker; the name of the file is that of the user
    a worker needs in alaska.cfg, with the public certificate of the broker:
        worker
            auth
                curve
                    key = "{secret}"
                    server-key = "broker.cert"
    alas needs: --key {secret} --server-key broker.cert"""


@click.command("keygen", cls=Command, epilog=_EPILOG)
@click.argument("name", default="client")
@shown.json_option
def keygen(name: str, as_json: bool) -> None:
    """Make a key pair for connections that are secured with CURVE, and print what to do with it.

    The public key is written to NAME.cert, and both keys to NAME.cert_secret, which only its owner can read. Files that
    exist are never overwritten. NAME may be a path (default: client).
    """
    if not name.isprintable() or Path(name).name in ("", ".", "..") or name.endswith("/"):
        raise click.UsageError("the name must be that of a file")
    public = Path(f"{name.removesuffix(SUFFIX)}{SUFFIX}")
    secret = Path(f"{public}{SECRET_SUFFIX}")
    try:
        pair = curve.new_pair()
    except ConfigurationError as error:
        raise failed(str(error), os.EX_CONFIG) from None
    try:
        write_pair(public, secret, pair)
    except FileExistsError as error:
        text = f"{printable(str(error.filename))} exists already, and is not overwritten; give another name"
        raise failed(text, os.EX_CANTCREAT) from None
    except OSError as error:
        raise failed(f"{printable(str(error.filename))} cannot be written: {error.strerror}", os.EX_CANTCREAT) from None
    fields = {"public_key": pair.public, "public": str(public), "secret": str(secret)}
    streams.write_line(shown.either(fields, _ADVICE.format(pair=pair, public=public, secret=secret), as_json))


def write_pair(public: Path, secret: Path, pair: KeyPair) -> None:
    """Write both files, or neither.

    :raises OSError: one of them exists, or cannot be written.
    """
    _write(secret, _BOTH_KEYS.format(pair=pair), 0o600)
    try:
        _write(public, _PUBLIC.format(pair=pair), 0o644)
    except OSError:
        secret.unlink()
        raise


def _write(path: Path, text: str, mode: int) -> None:
    # O_EXCL also refuses a link.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:  # Path.open takes no descriptor
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink()
        error.filename = str(path)
        raise
