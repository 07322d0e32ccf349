"""``alas schedule``, with a broker in memory."""

from __future__ import annotations

import json

from alaska.commands import admin_client, schedule
from alaska.schedules.schedule import Plan, parse
from tests.broker.test_schedules import NOON
from tests.commands.asking_case import AskingCase


class ScheduleTests(AskingCase):
    """A broker with two schedules, at noon."""

    wall = NOON

    def setUp(self) -> None:
        super().setUp()
        lines = "nightly '0 3 * * *' zone=Europe/Berlin svc report", "often '* * * * *' svc x"
        self.service.replace_plan(Plan(tuple(map(parse, lines))))
        self.run_on()

    def alas_schedule(self, *arguments: str) -> str:
        """Run ``alas schedule``, and return what it prints."""
        return self.alas(schedule.schedule, *arguments)

    def test_list(self) -> None:
        """Schedules are listed with their next times, which are those of their zones."""
        header, *lines = self.alas_schedule("list", "--next", "2").splitlines()
        self.assertEqual(header.split()[:5], ["NAME", "STATE", "NEXT", "LAST", "CRON"])
        self.assertEqual(
            [line.partition("  -  ")[0] for line in lines],
            [
                "nightly  waits  2026-11-28 03:00:00+01:00",
                "                2026-11-29 03:00:00+01:00",
                "often    waits  2026-11-27 12:01:00+00:00",
                "                2026-11-27 12:02:00+00:00",
            ],
        )
        self.assertEqual(lines[2].split()[5:], ["*"] * 5 + ["UTC", "svc", "x", "0", "0", "0"])
        self.assertEqual((self.alas_schedule("list", "none"), self.note), ("", "there are no schedules"))

    def test_json(self) -> None:
        """Each schedule is an object in a line."""
        first, second = map(json.loads, self.alas_schedule("list", "--json").splitlines())
        self.assertEqual((first["name"], second["name"], second["next"]), ("nightly", "often", [NOON + 60.0]))

    def test_many(self) -> None:
        """All pages are listed."""
        self.patch(admin_client, "PAGE_ITEMS", 3)
        self.service.replace_plan(Plan(tuple(parse(f"n{number} '* * * * *' svc x") for number in range(7))))
        self.run_on()
        self.assertEqual(len(self.alas_schedule("list").splitlines()), 8)

    def test_added(self) -> None:
        """A schedule is added with its options, and removed."""
        options = "--zone", "Asia/Tokyo", "--missed", "once", "--overlap", "skip", "--paused"
        said = self.alas_schedule("add", "new", "@daily", "svc", "s", '{"a": 1}', *options)
        self.assertEqual(said, "the schedule new is added until the broker ends")
        entry = self.broker.schedules.get("new")
        assert entry is not None
        line = "new '@daily' zone=Asia/Tokyo missed=once overlap=skip paused svc s {\"a\": 1}"
        self.assertEqual(entry.schedule, parse(line))
        self.assertEqual(self.alas_schedule("remove", "new"), "the schedule new is removed")
        self.assertEqual(self.fails(schedule.schedule, "remove", "new"), "1: there is no such schedule")
        self.assertIn("it can be paused", self.fails(schedule.schedule, "remove", "often"))

    def test_paused_and_run(self) -> None:
        """A schedule is paused, run and resumed."""
        self.assertEqual(self.alas_schedule("pause", "often"), "the schedule often is paused until the broker ends")
        self.assertIn("often    paused  - ", self.alas_schedule("list", "--next", "0"))
        self.assertEqual(self.alas_schedule("run", "often"), "the schedule often has made a request")
        self.assertIn("often  paused, running", self.alas_schedule("list", "often"))
        self.assertEqual(self.alas_schedule("resume", "often"), "the schedule often is resumed")

    def test_force(self) -> None:
        """With overlap=skip, a request is made by force while the last one has not ended."""
        self.service.replace_plan(Plan((parse("n '@yearly' overlap=skip svc x"),)))
        self.run_on()
        self.alas_schedule("run", "n")
        self.assertIn("with force", self.fails(schedule.schedule, "run", "n"))
        self.wall += 1
        self.run_on()
        self.assertEqual(self.alas_schedule("run", "n", "--force"), "the schedule n has made a request")

    def test_arguments(self) -> None:
        """What is wrong on the command line is named, with what may be meant."""
        for arguments, reason in (
            ((), "expected one of list, add"),
            (("lst",), "did you mean list?"),
            (("list", "--next", "21"), "expected a number from 0 to 20"),
            (("add", "n", "61 * * * *", "s", "t"), "bad minute"),
            (("add", "n", "@daily", "s", "t", "--zone", "Berlin"), "did you mean Europe/Berlin?"),
            (("add", "n", "@daily", "", "t"), "a name has 1 to 255 octets, found 0"),
        ):
            self.assertIn(reason, self.refused(schedule.schedule, *arguments))
