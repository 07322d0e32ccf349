"""Log files: rotation by size, and disks that cannot be written."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from alaska.daemon.log_file import LogFile


class FileCase(SynchronousTestCase):
    """A folder, and a log file in it."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.path = self.folder / "a.log"
        self.recovered: list[tuple[int, str]] = []

    def file(self, most_octets: int | None = None, most_files: int | None = None) -> LogFile:
        """Return an open log file."""
        file = LogFile(self.path, most_octets, most_files, lambda *what: self.recovered.append(what))
        self.addCleanup(file.close)
        return file

    def log(self, file: LogFile, text: str) -> None:
        """Write a text at once."""
        file.write(text)
        file.flush()

    def content(self) -> dict[str, str]:
        """Return the names of all files with their content."""
        return {path.name: path.read_text(encoding="utf-8") for path in sorted(self.folder.iterdir())}


class WriteTests(FileCase):
    """Writing and renaming."""

    def test_written(self) -> None:
        """A text is written by the flush; surrogates are escaped."""
        file = self.file()
        file.write("\u00fc\udc80\n")
        file.write("b\n")
        self.assertEqual(self.content(), {"a.log": ""})
        file.flush()
        self.assertEqual(self.content(), {"a.log": "\u00fc\\udc80\nb\n"})

    def test_continued(self) -> None:
        """An existing file is continued."""
        self.path.write_text("old\n")
        self.log(self.file(), "new\n")
        self.assertEqual(self.content(), {"a.log": "old\nnew\n"})

    def test_rotated_by_size(self) -> None:
        """A file that would exceed the size is renamed, and no more than the number of renamed files is kept."""
        file = self.file(10, 2)
        for number in range(5):
            self.log(file, f"line {number}\n")
        self.assertEqual(self.content(), {"a.log": "line 4\n", "a.log.1": "line 3\n", "a.log.2": "line 2\n"})

    def test_no_files_kept(self) -> None:
        """With zero renamed files, the old file is removed."""
        file = self.file(10, 0)
        for number in range(2):
            self.log(file, f"line {number}\n")
        self.assertEqual(self.content(), {"a.log": "line 1\n"})

    def test_without_limits(self) -> None:
        """Without limits the file grows."""
        file = self.file()
        for number in range(3):
            self.log(file, f"{number}\n")
        self.assertEqual(self.content(), {"a.log": "0\n1\n2\n"})

    def test_size_of_an_existing_file(self) -> None:
        """The size of a file that is continued counts."""
        self.path.write_text("123456789\n")
        self.log(self.file(10, 1), "x\n")
        self.assertEqual(self.content(), {"a.log": "x\n", "a.log.1": "123456789\n"})

    def test_other_names(self) -> None:
        """Files whose names only resemble those of rotated files are left alone."""
        names = ("a.log.old", "a.log.01x", "b.log.1", "a.log.3", "a.log.20261127", "a.log.1.gz")
        for name in names:
            (self.folder / name).write_text(name)
        file = self.file(10, 1)
        for number in range(3):
            self.log(file, f"line {number}\n")
        for name in names:
            self.assertEqual(self.content()[name], name)

    def test_fewer_files(self) -> None:
        """If fewer renamed files are to be kept than there are, the others are removed."""
        for number in range(1, 9):
            (self.folder / f"a.log.{number}").write_text(f"{number}")
        file = self.file(10, 2)
        file.rotate()
        self.assertEqual(self.content(), {"a.log": "", "a.log.1": "", "a.log.2": "1"})

    def test_renamed_by_another(self) -> None:
        """A file that another program has renamed and replaced is opened again instead, and its files stay."""
        file = self.file(10, 1)
        self.log(file, "line 1\n")
        self.path.rename(self.folder / "a.log.1")
        self.path.write_text("")
        self.log(file, "line 2\n")
        self.assertEqual(self.content(), {"a.log": "line 2\n", "a.log.1": "line 1\n"})

    def test_no_file(self) -> None:
        """What is no regular file, such as a pipe, is not renamed."""
        os.mkfifo(self.path)
        reading = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reading)
        file = self.file(10, 1)
        for _ in range(3):
            self.log(file, "123456789\n")
        self.assertEqual([path.name for path in self.folder.iterdir()], ["a.log"])

    def test_reopened(self) -> None:
        """After the file was renamed, it is opened again by its name."""
        file = self.file()
        self.log(file, "1\n")
        self.path.rename(self.folder / "kept")
        self.log(file, "2\n")
        file.reopen()
        self.log(file, "3\n")
        self.assertEqual(self.content(), {"a.log": "3\n", "kept": "1\n2\n"})

    def test_reopened_in_place(self) -> None:
        """A file that was not renamed stays open, and locked."""
        file = self.file()
        file.reopen()
        self.log(file, "1\n")
        self.assertEqual(self.content(), {"a.log": "1\n"})
        self.assertRaises(BlockingIOError, LogFile, self.path)

    def test_private(self) -> None:
        """Only the owner can read the files, whatever the umask is."""
        self.addCleanup(os.umask, os.umask(0))
        file = self.file()
        file.rotate()
        self.assertEqual({path.stat().st_mode & 0o777 for path in self.folder.iterdir()}, {0o600})


class FaultTests(FileCase):
    """What happens when the file cannot be written."""

    def test_no_folder(self) -> None:
        """If the folder has disappeared, the open file is used, also when it should be rotated or opened again."""
        file = self.file(10, 1)
        self.log(file, "line 1\n")
        self.path.unlink()
        self.folder.rmdir()
        self.log(file, "line 2\n")
        self.assertRaises(FileNotFoundError, file.reopen)
        self.log(file, "line 3\n")
        self.assertEqual((file.lost, self.recovered), (0, []))

    def test_full(self) -> None:
        """While the disk is full, lines are lost and counted; once it has room, that is reported, once."""
        if not Path("/dev/full").exists():
            raise SkipTest("this system has no /dev/full")
        self.path.symlink_to("/dev/full")
        file = self.file()
        for _ in range(2):
            self.log(file, "one\ntwo\n")
        self.assertEqual((file.lost, self.recovered), (4, []))
        self.path.unlink()
        file.reopen()
        self.log(file, "three\n")
        self.log(file, "four\n")
        self.assertEqual(self.recovered, [(4, "No space left on device")])
        self.assertEqual(self.content(), {"a.log": "three\nfour\n"})

    def test_partly_written(self) -> None:
        """A line of which only a part could be written is ended before the next one."""
        file = self.file()
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        self.addCleanup(signal.signal, signal.SIGXFSZ, signal.signal(signal.SIGXFSZ, signal.SIG_IGN))
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
        try:
            self.log(file, "line 1\nline 2\nline 3\n")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        self.log(file, "line 4\n")
        self.assertEqual(self.content(), {"a.log": "line 1\nlin\nline 4\n"})
        self.assertEqual(self.recovered, [(2, "File too large")])
