"""Finding scripts: which subjects are valid, and when a file is read again."""

from __future__ import annotations

import contextlib
import os
import resource
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.errors import NOT_FOUND, ScriptNotFound, ScriptUnreadable
from alaska.lua import files
from alaska.lua.scripts import CHECKED_SECONDS, Scripts

SOURCE = b"print 'hello'\n"


class ScriptsCase(SynchronousTestCase):
    """A directory with one script, ``hello``, and another one outside, ``secret``."""

    def setUp(self) -> None:
        self.outside = Path(self.mktemp())
        self.directory = self.outside / "services"
        self.directory.mkdir(parents=True)
        (self.directory / "hello.lua").write_bytes(SOURCE)
        (self.outside / "secret.lua").write_bytes(b"os.exit()")
        self.scripts = Scripts(self.directory, settle=0)

    def assert_refused(self, subject: bytes, why: str) -> None:
        """Expect no script for this subject, and a sentence with the reason."""
        error = self.assertRaises(ScriptNotFound, self.scripts.find, subject)
        self.assertIn(why, str(error))


class FindTests(ScriptsCase):
    """Subjects that name a script."""

    def test_script(self) -> None:
        """A script has the content of its file and the subject's name."""
        script = self.scripts.find(b"hello")
        self.assertEqual((script.name, script.source), (b"hello", SOURCE))
        self.assertEqual(script.path, self.directory / "hello.lua")

    def test_name_of_any_language(self) -> None:
        """A subject may be any UTF-8 text that is a valid file name."""
        (self.directory / "größe 大.v2.lua").write_bytes(SOURCE)
        self.assertEqual(self.scripts.find("größe 大.v2".encode()).source, SOURCE)

    def test_seen_since(self) -> None:
        """A check of a moment ago is valid for requests delivered before it, and for no others."""
        now = 100.0
        scripts = Scripts(self.directory, settle=0, monotonic=lambda: now)
        scripts.find(b"hello", 99.0)
        (self.directory / "hello.lua").write_bytes(b"-- changed")
        self.assertEqual(scripts.find(b"hello", 100.0).source, SOURCE)
        self.assertEqual(scripts.find(b"hello", 100.001).source, b"-- changed")

    def test_seen_a_while_ago(self) -> None:
        """A request that waited for long gets the current script."""
        now = 100.0
        scripts = Scripts(self.directory, settle=0, monotonic=lambda: now)
        scripts.find(b"hello", 99.0)
        (self.directory / "hello.lua").write_bytes(b"-- changed")
        now += 2 * CHECKED_SECONDS
        self.assertEqual(scripts.find(b"hello", 99.0).source, b"-- changed")

    def test_any_octets_in_the_file(self) -> None:
        """A script may contain any octets."""
        (self.directory / "octets.lua").write_bytes(bytes(range(256)))
        self.assertEqual(self.scripts.find(b"octets").source, bytes(range(256)))

    def test_directory_is_a_link(self) -> None:
        """The scripts directory may be a symbolic link, which may change."""
        link = self.outside / "current"
        link.symlink_to("services")
        found = Scripts(link, settle=0)
        self.assertEqual(found.find(b"hello").source, SOURCE)
        (self.outside / "next").mkdir()
        (self.outside / "next" / "hello.lua").write_bytes(b"-- next")
        link.unlink()
        link.symlink_to("next")
        self.assertEqual(found.find(b"hello").source, b"-- next")

    def test_link_inside(self) -> None:
        """A link to another script of the directory is a script."""
        (self.directory / "alias.lua").symlink_to("hello.lua")
        self.assertEqual(self.scripts.find(b"alias").source, SOURCE)

    def test_link_into_subdirectory(self) -> None:
        """A link may lead into a subdirectory, whose files subjects cannot name."""
        (self.directory / "lib").mkdir()
        (self.directory / "lib" / "deep.lua").write_bytes(b"-- deep")
        (self.directory / "deep.lua").symlink_to("lib/deep.lua")
        self.assertEqual(self.scripts.find(b"deep").source, b"-- deep")

    def test_relative_directory(self) -> None:
        """The directory may be relative to the working directory."""
        relative = Scripts(Path(os.path.relpath(self.directory)), settle=0)
        self.assertEqual(relative.find(b"hello").source, SOURCE)


class RefusedTests(ScriptsCase):
    """Subjects that name no script, or a file that must not run."""

    def test_missing(self) -> None:
        """A subject without a file is refused with the protocol's status, and a text with subject and reason."""
        error = self.assertRaises(ScriptNotFound, self.scripts.find, b"nope")
        self.assertEqual(error.status, NOT_FOUND)
        self.assertIn("No script serves the subject 'nope'", str(error))
        self.assertIn("No such file or directory", str(error))

    def test_not_a_name(self) -> None:
        """A subject must be a plain name."""
        for subject, why in [
            (b"", "not empty"),
            (b".", "does not begin with a dot"),
            (b"..", "does not begin with a dot"),
            (b".hidden", "does not begin with a dot"),
            (b"../secret", "does not begin with a dot"),
            (b"/etc/passwd", "not a path"),
            (b"lib/hello", "not a path"),
            (b"lib/../../secret", "not a path"),
            (b"hello/", "not a path"),
            (b"..\\secret", "does not begin with a dot"),
            (b"a\\b", "not a path"),
            (b"hello\0", "no control characters"),
            (b"hello.lua\0.txt", "no control characters"),
            (b"a\nb", "no control characters"),
            (b"\x7f", "no control characters"),
            (b"\xff\xfe", "UTF-8"),
            (b"\xc0\xaf", "UTF-8"),
        ]:
            self.assert_refused(subject, why)

    def test_too_long(self) -> None:
        """A subject that is too long for a file name is refused like a missing one, and cut in the sentence."""
        self.assert_refused(b"x" * 252, "File name too long")
        error = self.assertRaises(ScriptNotFound, self.scripts.find, b"x" * 100_000)
        self.assertLess(len(str(error)), 100_500)
        self.assertIn("'" + "x" * 80 + "…'", str(error))

    def test_octets_are_shown_safely(self) -> None:
        """Control characters and invalid UTF-8 in a subject are escaped."""
        error = self.assertRaises(ScriptNotFound, self.scripts.find, b"\x1b[2J\xff\r\n")
        self.assertTrue(str(error).isprintable())

    def test_link_out(self) -> None:
        """A relative or absolute link out of the directory is refused."""
        (self.directory / "out.lua").symlink_to("../secret.lua")
        self.assert_refused(b"out", "outside the scripts directory")
        (self.directory / "far.lua").symlink_to((self.outside / "secret.lua").absolute())
        self.assert_refused(b"far", "outside the scripts directory")

    def test_link_out_by_way_of_a_directory(self) -> None:
        """A link through a linked directory outside is refused."""
        (self.directory / "lib").symlink_to("..")
        (self.directory / "out.lua").symlink_to("lib/secret.lua")
        self.assert_refused(b"out", "outside the scripts directory")

    def test_link_to_neighbour_with_longer_name(self) -> None:
        """A directory whose name starts with that of the scripts directory is outside."""
        (self.outside / "services-old").mkdir()
        (self.outside / "services-old" / "old.lua").write_bytes(SOURCE)
        (self.directory / "old.lua").symlink_to("../services-old/old.lua")
        self.assert_refused(b"old", "outside the scripts directory")

    def test_broken_link(self) -> None:
        """A broken or circular link is refused."""
        (self.directory / "broken.lua").symlink_to("nothing.lua")
        self.assert_refused(b"broken", "No such file")
        (self.directory / "loop.lua").symlink_to("loop.lua")
        self.assert_refused(b"loop", "symbolic links")

    def test_not_a_regular_file(self) -> None:
        """A directory, a FIFO and a device are refused without blocking."""
        (self.directory / "folder.lua").mkdir()
        self.assert_refused(b"folder", "not a regular file")
        os.mkfifo(self.directory / "fifo.lua")
        self.assert_refused(b"fifo", "not a regular file")
        (self.directory / "null.lua").symlink_to("/dev/null")
        self.assert_refused(b"null", "not a regular file")

    def test_too_large(self) -> None:
        """A file above the maximum size is not read."""
        with open(self.directory / "huge.lua", "wb") as file:
            file.truncate(files.MAX_OCTETS + 1)
        self.assert_refused(b"huge", "larger than")

    def test_no_directory(self) -> None:
        """Without a scripts directory every subject is refused."""
        self.scripts = Scripts(self.outside / "nowhere")
        self.assert_refused(b"hello", "No such file")

    @given(st.binary(max_size=300))
    def test_any_octets(self, subject: bytes) -> None:
        """Any subject either names the one script or is refused."""
        found = None
        with contextlib.suppress(ScriptNotFound):
            found = self.scripts.find(subject)
        self.assertEqual(found is not None, subject == b"hello")

    @given(st.lists(st.sampled_from(["..", ".", "/", "secret", "services", "\\", "hello", "lib"]), max_size=8))
    def test_any_path(self, parts: list[str]) -> None:
        """No notation of a path leads to the file outside."""
        with contextlib.suppress(ScriptNotFound):
            self.assertEqual(self.scripts.find("".join(parts).encode()).source, SOURCE)


class UnreadableTests(ScriptsCase):
    """Files that are temporarily unreadable."""

    def test_no_descriptors(self) -> None:
        """Without a free file descriptor, a script is not reported as missing, and is found later."""
        hello = self.scripts.find(b"hello")
        self.scripts = Scripts(self.directory, settle=0)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        with open(os.devnull, "rb") as highest:
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest.fileno(), hard))
        taken = []
        try:
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pass
        error = self.assertRaises(ScriptUnreadable, self.scripts.find, b"hello")
        self.assertEqual(error.status, 300)
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.assertEqual(self.scripts.find(b"hello").source, hello.source)


class ChangeTests(ScriptsCase):
    """Files that change while the worker runs."""

    def test_unchanged(self) -> None:
        """A script whose file is unchanged is not read again."""
        self.assertIs(self.scripts.find(b"hello"), self.scripts.find(b"hello"))

    def test_edited(self) -> None:
        """An edit takes effect with the next request, as a new version."""
        before = self.scripts.find(b"hello")
        (self.directory / "hello.lua").write_bytes(b"print 'changed'")
        after = self.scripts.find(b"hello")
        self.assertEqual(after.source, b"print 'changed'")
        self.assertNotEqual(before.version, after.version)

    def test_replaced(self) -> None:
        """A file of the same size and time that replaces another one is a new version."""
        before = self.scripts.find(b"hello")
        status = os.stat(self.directory / "hello.lua")
        new = self.directory / "new"
        new.write_bytes(SOURCE.replace(b"hello", b"HELLO"))
        os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
        new.replace(self.directory / "hello.lua")
        after = self.scripts.find(b"hello")
        self.assertIn(b"HELLO", after.source)
        self.assertNotEqual(before.version, after.version)

    def test_removed_and_back(self) -> None:
        """A removed script is missing, and one that comes back is read again."""
        self.scripts.find(b"hello")
        (self.directory / "hello.lua").unlink()
        self.assert_refused(b"hello", "No such file")
        (self.directory / "hello.lua").write_bytes(b"-- back")
        self.assertEqual(self.scripts.find(b"hello").source, b"-- back")

    def test_becomes_a_link_out(self) -> None:
        """A script that becomes a link out of the directory is refused."""
        self.scripts.find(b"hello")
        (self.directory / "hello.lua").unlink()
        (self.directory / "hello.lua").symlink_to("../secret.lua")
        self.assert_refused(b"hello", "outside the scripts directory")
