"""Time zones by name, and that of the machine."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.errors import ScheduleError
from alaska.schedules.zones import LOCAL, UTC, Zone, known, of_machine, zone


class ZoneTests(SynchronousTestCase):
    """Zones by name."""

    def test_known(self) -> None:
        """A zone of the database is found by its name."""
        self.assertEqual(zone("Europe/Berlin"), Zone("Europe/Berlin", ZoneInfo("Europe/Berlin")))
        self.assertIs(zone("UTC"), UTC)

    def test_unknown(self) -> None:
        """The error about an unknown name suggests a similar one."""
        error = self.assertRaises(ScheduleError, zone, "Europe/Berln")
        self.assertEqual(str(error), "there is no time zone 'Europe/Berln'")
        for name, meant in (
            ("Europe/Berln", "Europe/Berlin"),
            ("berlin", "Europe/Berlin"),
            ("New York", "America/New_York"),
        ):
            self.assertIn(f"did you mean {meant}?", str(self.assertRaises(ScheduleError, known, name)))

    @given(
        st.text() | st.sampled_from(["", "/etc/passwd", "../../etc/passwd", "Europe", "zone.tab", "a\0b", "x" * 5000])
    )
    def test_hostile(self, name: str) -> None:
        """Whatever is no zone is refused with an error, also what names other files."""
        try:
            found = zone(name)
        except ScheduleError as error:
            self.assertLess(len(str(error)), 1000)
        else:
            self.assertEqual(found.name, name)


class MachineTests(SynchronousTestCase):
    """The zone of the machine."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.file = self.folder / "localtime"

    def database(self) -> Path:
        """Return the file of a zone."""
        for folder in ("/usr/share/zoneinfo", "/usr/lib/zoneinfo"):
            if (path := Path(folder, "Asia/Tokyo")).exists():
                return path
        return Path(str(files("tzdata")), "zoneinfo", "Asia", "Tokyo")

    def test_variable(self) -> None:
        """TZ names the zone, or its file."""
        self.assertEqual(of_machine({"TZ": "Asia/Tokyo"}, self.file).name, "Asia/Tokyo")
        self.assertEqual(of_machine({"TZ": ":Asia/Tokyo"}, self.file).name, "Asia/Tokyo")
        self.assertEqual(of_machine({"TZ": str(self.database())}, self.file).name, "Asia/Tokyo")

    def test_wrong_variable(self) -> None:
        """A TZ that names no zone is an error."""
        error = self.assertRaises(ScheduleError, of_machine, {"TZ": "CET-1CEST,M3"}, self.file)
        self.assertEqual(str(error), "the environment variable TZ: there is no time zone 'CET-1CEST,M3'")

    def test_link(self) -> None:
        """A link into the database gives the name of the zone."""
        self.file.symlink_to(self.database())
        self.assertEqual(of_machine({}, self.file), zone("Asia/Tokyo"))

    def test_copy(self) -> None:
        """A copy of a file of the database gives the zone without its name."""
        self.file.write_bytes(self.database().read_bytes())
        found = of_machine({}, self.file)
        self.assertEqual((found.name, str(found.info)), (LOCAL, LOCAL))

    def test_missing(self) -> None:
        """Without any of them, it is UTC."""
        self.assertEqual(of_machine({}, self.file), UTC)

    def test_damaged(self) -> None:
        """A file that is no zone is an error."""
        self.file.write_bytes(b"TZif?")
        self.assertIn("cannot be read", str(self.assertRaises(ScheduleError, of_machine, {}, self.file)))
