"""The metrics of a worker."""

from __future__ import annotations

from alaska.admin.families import Kind
from alaska.system.histogram import Reading
from alaska.worker.figures import FAMILIES
from tests.worker.worker_case import ServedCase, reply


class FiguresTests(ServedCase):
    """What is shown of a worker."""

    def test_not_started(self) -> None:
        """A worker that has not started shows its pool, and nothing of a connection."""
        shown = {family.name for family, _ in self.worker.figures()}
        self.assertIn("alaska_worker_pool_slots", shown)
        self.assertNotIn("alaska_worker_connected", shown)

    def test_families(self) -> None:
        """A worker in use shows each family once, with values for all its labels."""
        self.script(b"job", reply(b"12"))
        self.script(b"bad", error="oh no")
        self.start()
        for subject in ("job", "job", "bad"):
            self.ask(subject)
        self.run_scripts()
        shown = [(family, dict(values)) for family, values in self.worker.figures()]
        self.assertEqual([family.name for family, _ in shown], [family.name for family in FAMILIES])
        for family, values in shown:
            for labels, value in values.items():
                self.assertEqual(len(labels), len(family.labels), family.name)
                self.assertEqual(isinstance(value, Reading), family.kind is Kind.HISTOGRAM, family.name)
        found = {family.name.removeprefix("alaska_worker_"): values for family, values in shown}
        self.assertEqual(found["requests_total"]["default", "succeeded"], 2)
        self.assertEqual(found["requests_total"]["default", "failed"], 1)
        self.assertEqual(found["script_runs_total"], {("job",): 2, ("bad",): 1, ("",): 0})
        self.assertEqual(found["script_errors_total"]["bad", "error"], 1)
        self.assertEqual(found["sent_messages_total"]["reply",], 2)
        self.assertEqual(found["connected"][()], True)
        run = found["request_run_seconds"]["default",]
        assert isinstance(run, Reading)
        self.assertEqual(sum(run.counts), 3)
