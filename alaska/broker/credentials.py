"""What proves the identity of clients: the passwords and keys that the broker's settings name."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from alaska.authentication import KeyPair, Mechanism
from alaska.broker.passwords import PasswordFile
from alaska.config import BrokerSettings
from alaska.config.certificates import is_readable_by_others, is_writable_by_all, read_client_keys, read_pair
from alaska.config.passwords import Users, plain_count
from alaska.errors import ConfigurationError
from alaska.sockets import curve


@dataclass(frozen=True, slots=True)
class Credentials:
    """The passwords and keys of clients, and the keys of the broker; ``warnings`` are sentences.

    The users are those of ``passwords``, or else fixed ones (``users``). ``names`` are the names of clients by public
    key in Z85.
    """

    passwords: PasswordFile | None = None
    users: Users = field(default_factory=dict, repr=False)
    names: dict[str, str] = field(default_factory=dict)
    server_keys: KeyPair | None = None
    warnings: tuple[str, ...] = ()


def read_credentials(settings: BrokerSettings, folder: Path = Path()) -> Credentials:
    """Read all files with passwords and keys that the settings name and the endpoints need, relative to ``folder``.

    It may be called in any thread, and changes nothing.

    :raises ConfigurationError: a file cannot be read, or is not valid. The text has one line for each fault, with file
        and line.
    """
    faults: list[str] = []
    warnings: list[str] = []
    mechanisms = settings.mechanisms
    passwords: PasswordFile | None = None
    names: dict[str, str] = {}
    keys: KeyPair | None = None
    if Mechanism.PLAIN in mechanisms and settings.password_file is not None:
        path = folder / settings.password_file
        try:
            passwords = PasswordFile(path)
            warnings += _plain_warnings(path, passwords.users)
            warnings += _writable_warnings(path)
        except ConfigurationError as error:
            faults += [f"server/auth/plain: {line}" for line in str(error).split("\n")]
    if Mechanism.CURVE in mechanisms:
        try:
            keys = _server_keys(folder, settings.key_file, warnings)
        except ConfigurationError as error:
            faults.append(f"mlm_server/security/key: {error}")
        try:
            if settings.client_keys is not None:
                found = read_client_keys(folder / settings.client_keys)
                names = found.names
                warnings += found.warnings
                warnings += _writable_warnings(folder / settings.client_keys)
        except ConfigurationError as error:
            faults += [f"server/auth/curve: {line}" for line in str(error).split("\n")]
    if faults:
        raise ConfigurationError("\n".join(faults))
    return Credentials(passwords, {}, names, keys, tuple(warnings))


def _server_keys(folder: Path, file: Path | None, warnings: list[str]) -> KeyPair:
    curve.require()
    if file is None:
        raise ConfigurationError("CURVE needs a key: `alas keygen broker` makes one")
    path = folder / file
    keys = read_pair(path)
    curve.check_pair(keys, str(path))
    if is_readable_by_others(path):
        warnings.append(f"the secret key in {path} can be read by other users of the machine: chmod 600")
    return keys


def _plain_warnings(path: Path, users: Users) -> list[str]:
    count = plain_count(users)
    if not count:
        return []
    warnings = [
        f"{path}: {count} of {len(users)} passwords are not hashed; "
        "`alas password USER` prints a line with a hash to replace each of them"
    ]
    if is_readable_by_others(path):
        warnings.append(f"the passwords in {path} can be read by other users of the machine: chmod 600")
    return warnings


def _writable_warnings(path: Path) -> list[str]:
    if not is_writable_by_all(path):
        return []
    return [f"each user of the machine can give itself access, since all may write to {path}: chmod o-w"]
