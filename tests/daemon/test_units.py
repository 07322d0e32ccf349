"""The units for systemd."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests import PROJECT

UNITS = ("alaska.service", "malamute.service")
MOST_EXPOSURE = 3.0


class UnitTests(SynchronousTestCase):
    """The shipped units, checked by systemd itself."""

    def setUp(self) -> None:
        if shutil.which("systemd-analyze") is None:
            raise SkipTest("systemd-analyze is not installed")
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        for unit in UNITS:
            path = PROJECT / "examples" / "systemd" / unit
            if not path.exists():
                raise SkipTest("the examples are missing")
            (self.folder / unit).write_bytes(path.read_bytes())

    def analyze(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run systemd-analyze in the folder."""
        return subprocess.run(
            ["systemd-analyze", *arguments], cwd=self.folder, capture_output=True, text=True, check=False, timeout=60
        )

    def test_valid(self) -> None:
        """Both units are valid, without a warning."""
        found = self.analyze("verify", *(f"./{unit}" for unit in UNITS))
        if "Failed to initialize manager" in found.stderr:
            raise SkipTest("systemd-analyze verify does not work here")
        self.assertEqual((found.returncode, found.stdout, found.stderr), (0, "", ""))

    def test_exposure(self) -> None:
        """Both units have little access to the system, by the measure of systemd."""
        for unit in UNITS:
            found = self.analyze("security", "--offline=true", "--no-pager", f"./{unit}")
            if "unrecognized option" in found.stderr:
                raise SkipTest("this systemd-analyze cannot examine files")
            score = found.stdout.partition("Overall exposure level for")[2].split(":")[1].split()[0]
            self.assertLess(float(score), MOST_EXPOSURE, unit)
