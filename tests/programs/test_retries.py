"""Retries in the whole system: a request that waits for one survives worker and broker."""

from __future__ import annotations

import signal
from time import monotonic

from twisted.internet.task import deferLater

from tests.programs.system_case import SystemTestCase, reactor

SCRIPT = """
-- alaska: retries=3 backoff=3s..3s
print('attempt ' .. alaska.attempt .. ' snoozes ' .. alaska.snoozes)
if alaska.snoozes < 1 then
  pcall(coroutine.wrap(function() alaska.snooze(3) end))
end
if alaska.attempt < 2 then
  error 'not yet'
end
"""


class RetryTests(SystemTestCase):
    """A durable broker, and a worker that runs scripts in processes."""

    async def start_both(self) -> None:
        """Start the broker and a worker."""
        store = f'mlm_server\n    bind\n        endpoint = "{self.endpoint}"\n    store\n        path = "mlm.db"\n'
        self.broker = self.twistd("-n", "--pidfile=", "malamute", "--config", str(self.config("malamute.cfg", store)))
        await self.broker.until("Broker ready")
        config = self.worker_config(embedded=False, more='    pool\n        isolation = "process"\n')
        self.worker = self.twistd("-n", "--pidfile=", "alaska", "--config", str(config))
        await self.worker.until("Alaska worker ready")

    async def kill_both(self) -> None:
        """Kill both when the broker has stored what the worker has told it, and start them again."""
        await deferLater(reactor, 0.5, lambda: None)
        for program in (self.worker, self.broker):
            program.send_signal(signal.SIGKILL)
            await program.ended
        await self.start_both()

    async def test_killed(self) -> None:
        """It comes back as the right attempt, not before its time, although both were killed meanwhile."""
        self.script("flaky", SCRIPT)
        await self.start_both()
        sender = await self.client("sender")
        sender.send_for("default", "flaky")
        await self.worker.until("outcome: snoozed")
        began = monotonic()
        await self.kill_both()
        await self.worker.until("attempt 1 snoozes 1")
        self.assertGreater(monotonic() - began, 2.5)
        await self.worker.until("outcome: retried")
        await self.kill_both()
        await self.worker.until("attempt 2 snoozes 1")
        await self.worker.until("outcome: ok")
