"""Certificate files and the keys of clients."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.config import certificates
from alaska.config.certificates import (
    MOST_OCTETS,
    is_key,
    is_readable_by_others,
    read_client_keys,
    read_pair,
    read_public_key,
)
from alaska.errors import ConfigurationError

PUBLIC = "W@If+xd]FSKG:{prw%!^Y{]6=?1Mw6hNz(fu8([e"
SECRET = ")dPo=H&x}^SGV(hBUsgnKwF1hOc5kem&{e+Q(aGq"
OTHER = "T9$TdmT^p))fT9<rrw0lqb+C4R{)ALnd<.M]HMkG"
CZMQ_PUBLIC = f"""\
#   ****  Generated on 2026-11-27 13:47:59 by CZMQ  ****
#   ZeroMQ CURVE Public Certificate
#   Exchange securely, or use a secure mechanism to verify the contents
#   of this file after exchange. Store public certificates in your home
#   directory, in the .curve subdirectory.

metadata
    name = "Ann Example"
    email = "ann@example.org"
curve
    public-key = "{PUBLIC}"
"""
"""As zcert_save of CZMQ 4.2.1 writes it."""
CZMQ_SECRET = f"""\
#   ****  Generated on 2026-11-27 13:47:59 by CZMQ  ****
#   ZeroMQ CURVE **Secret** Certificate
#   DO NOT PROVIDE THIS FILE TO OTHER USERS nor change its permissions.

metadata
    name = "Ann Example"
    email = "ann@example.org"
curve
    public-key = "{PUBLIC}"
    secret-key = "{SECRET}"
"""
PYZMQ_PUBLIC = f"""\
#   ****  Generated on 2026-11-27 13:47:59.635329 by pyzmq  ****
#   ZeroMQ CURVE Public Certificate

metadata
curve
    public-key = "{OTHER}"
"""


class FilesCase(SynchronousTestCase):
    """A folder of files."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def file(self, name: str, text: str | bytes) -> Path:
        """Return the path of a new file."""
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def fault(self, read: object, path: Path) -> str:
        """Return the error of reading a file."""
        return str(self.assertRaises(ConfigurationError, read, path))


class CertificateTests(FilesCase):
    """Single certificates."""

    def test_of_other_programs(self) -> None:
        """Certificates of CZMQ and pyzmq are read, and files with a key alone."""
        self.assertEqual(read_public_key(self.file("ann.txt", CZMQ_PUBLIC)), PUBLIC)
        self.assertEqual(read_public_key(self.file("ann.txt_secret", CZMQ_SECRET)), PUBLIC)
        self.assertEqual(read_public_key(self.file("bob.key", PYZMQ_PUBLIC)), OTHER)
        self.assertEqual(read_public_key(self.file("only", f"{OTHER}\n")), OTHER)
        pair = read_pair(self.folder / "ann.txt_secret")
        self.assertEqual((pair.public, pair.secret), (PUBLIC, SECRET))
        self.assertNotIn(SECRET, repr(pair))

    def test_faults(self) -> None:
        """A file without valid keys is refused with its name, and the line if there is one, but no secret key."""
        public = self.file("ann", CZMQ_PUBLIC)
        self.assertEqual(
            self.fault(read_pair, public), f"{public}: there is no curve/secret-key; this is a public certificate"
        )
        alone = self.file("key", PUBLIC)
        self.assertEqual(self.fault(read_pair, alone), f"{alone}: a secret certificate is needed, found only a key")
        bad = self.file("bad", CZMQ_SECRET.replace(SECRET, SECRET[:-1]))
        self.assertEqual(self.fault(read_pair, bad), f"{bad}:10: curve/secret-key must be 40 characters of Z85")
        self.assertIn(": there is no curve/public-key", self.fault(read_public_key, self.file("empty", "")))

    def test_unreadable(self) -> None:
        """A missing or too large file, a folder and a pipe are refused, without waiting."""
        os.mkfifo(self.folder / "pipe")
        large = self.file("large", b"#" * (MOST_OCTETS + 1))
        for path, fault in (
            (self.folder / "missing", "cannot be read: No such file or directory"),
            (self.folder / "pipe", "it is not a regular file"),
            (large, f"the file has more than {MOST_OCTETS} octets"),
        ):
            self.assertEqual(self.fault(read_public_key, path), f"{path}: {fault}")
        self.assertIn("directory", self.fault(read_public_key, self.folder))

    def test_permissions(self) -> None:
        """A file that others may read is recognized."""
        path = self.file("secret", "")
        for mode, expected in ((0o600, False), (0o640, True), (0o604, True)):
            path.chmod(mode)
            self.assertEqual(is_readable_by_others(path), expected)

    def test_is_key(self) -> None:
        """A key has 40 characters of Z85, and each group of five stands for four octets."""
        self.assertTrue(is_key(PUBLIC))
        for text in ("", PUBLIC[1:], f"{PUBLIC}0", PUBLIC.replace("W", '"'), "#" * 40):
            self.assertFalse(is_key(text), text)

    @given(
        st.binary(max_size=200) | st.text(max_size=100).map(lambda text: f'curve\n    public-key = "{text}"'.encode())
    )
    def test_any_file(self, content: bytes) -> None:
        """Any file has a key or is refused."""
        path = self.folder / "any"
        path.write_bytes(content)
        with contextlib.suppress(ConfigurationError):
            self.assertTrue(is_key(read_public_key(path)))


class ClientKeyTests(FilesCase):
    """The keys of all clients."""

    def test_folder(self) -> None:
        """The name of a client is that of its file; secret, hidden and other files are skipped."""
        for name, text in (
            ("ann.cert", CZMQ_PUBLIC),
            ("ann.cert_secret", "not read"),
            (".hidden", "not read"),
            ("bob", OTHER),
            ("ann.cert~", "not read"),
        ):
            self.file(name, text)
        (self.folder / "old.key").mkdir()
        found = read_client_keys(self.folder)
        self.assertEqual(found.names, {PUBLIC: "ann", OTHER: "bob"})
        named, *skipped = sorted(found.warnings)
        self.assertEqual(
            named, f"{self.folder / 'ann.cert'}: the user is 'ann'; metadata/name = 'Ann Example' has no effect"
        )
        self.assertEqual(
            [warning.partition(" ")[0] for warning in skipped],
            [f"{self.folder}/{name}" for name in ("ann.cert~", "old.key")],
        )

    def test_file(self) -> None:
        """A file has a name and a key in each line; a name may have several keys."""
        path = self.file("keys", f"# clients\n\nann={PUBLIC}\n ann = {OTHER}\r\n")
        self.assertEqual(read_client_keys(path).names, {PUBLIC: "ann", OTHER: "ann"})

    def test_faults(self) -> None:
        """Each fault is reported with file and line."""
        path = self.file(
            "keys", f"ann={PUBLIC}\nbob={PUBLIC}\n={OTHER}\njoe\neve=secret\n\xff={OTHER}".encode("latin-1")
        )
        lines = self.fault(read_client_keys, path).split("\n")
        self.assertEqual([line.split(":")[1] for line in lines], ["2", "3", "4", "5", "6"])
        self.assertIn("the key of 'bob' is also that of 'ann'", lines[0])
        self.file("bad.cert", "curve\n  x")
        self.file("worse.cert", "")
        (self.folder / "keys").unlink()
        self.assertEqual(len(self.fault(read_client_keys, self.folder).split("\n")), 2)

    def test_too_many(self) -> None:
        """The number of keys is limited."""
        self.patch(certificates, "MOST_KEYS", 1)
        path = self.file("keys", f"ann={PUBLIC}\nbob={OTHER}\n")
        self.assertIn("there are more than 1 keys", self.fault(read_client_keys, path))

    @given(st.binary(max_size=300))
    def test_any_file(self, content: bytes) -> None:
        """Any file has names and keys, or is refused."""
        path = self.folder / "any"
        path.write_bytes(content)
        try:
            names = read_client_keys(path).names
        except ConfigurationError as error:
            self.assertTrue(all(line.startswith(f"{path}:") for line in str(error).split("\n")))
        else:
            self.assertTrue(all(map(is_key, names)))
