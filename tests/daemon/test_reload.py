"""Reloading the configuration of a running program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twisted.internet.task import Clock
from twisted.logger import LogLevel

from alaska.config import BrokerSettings, WorkerSettings, load_broker, load_worker
from alaska.daemon.reload import INTERVAL_SECONDS, Change, ConfigurationFile, Reload, Reloaded
from alaska.errors import ConfigurationError
from tests.config.texts import one
from tests.network_case import LogCase


class ReloadCase(LogCase):
    """The files of a worker and its embedded broker, each with a part that records what it applies."""

    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "services").mkdir()
        self.worker_path, self.broker_path = folder / "alaska.cfg", folder / "malamute.cfg"
        self.scripts = one("worker/scripts/dir", str((folder / "services").absolute()))
        self.worker_path.write_text(self.scripts, encoding="utf-8")
        self.broker_path.write_text("", encoding="utf-8")
        self.worker_file = ConfigurationFile(self.worker_path, load_worker, load_worker(self.worker_path, {}))
        self.broker_file = ConfigurationFile(self.broker_path, load_broker, load_broker(self.broker_path, {}))
        self.reload = Reload(self.clock, [self.worker_file, self.broker_file])
        self.applied: list[object] = []
        self.worker_file.add(["errors_retries", "plain_password"], self.retries)
        self.broker_file.add(["auth_verbose"], lambda _: self.change("broker"))

    def retries(self, settings: WorkerSettings) -> Change:
        """Prepare to record the retries and the size of the pool."""
        return self.change((settings.errors_retries, settings.pool_size))

    def change(self, what: object, *sentences: str) -> Change:
        """Return a change that records something."""
        return Change(lambda: self.applied.append(what), sentences)

    def write(self, text: str) -> None:
        """Write a setting into the worker's file, besides the directory of scripts."""
        self.worker_path.write_text(f"{self.scripts}\n{text.partition(chr(10))[2]}", encoding="utf-8")


class ReloadTests(ReloadCase):
    """One reload."""

    def test_nothing_changed(self) -> None:
        """If no setting has changed, parts are applied all the same, and the log says that nothing has changed."""
        self.assertEqual(self.reload.now(), Reloaded())
        self.assertEqual(self.applied, [(0, 4), "broker"])
        self.assertEqual([line.rpartition(": ")[2] for line in self.logged()], ["nothing has changed"] * 2)

    def test_changed(self) -> None:
        """A changed setting is applied, is in force, and is logged with its old and new value."""
        self.write(one("worker/errors/retries", "3"))
        sentence = "worker/errors/retries is now 3; it was 0"
        self.assertEqual(self.reload.now(), Reloaded(changed=(sentence,)))
        self.assertEqual(self.applied, [(3, 4), "broker"])
        self.assertEqual(self.worker_file.settings.errors_retries, 3)
        self.assertIn(f"{self.worker_file.path}: {sentence}", self.logged(LogLevel.info))
        self.assertEqual(self.reload.now(), Reloaded())

    def test_restart(self) -> None:
        """A setting that no part applies is reported at each reload as in need of a restart, and stays as it was."""
        self.write(one("worker/pool/size", "9"))
        for _ in range(2):
            self.assertEqual(self.reload.now(), Reloaded(restart=("worker/pool/size",)))
        self.assertEqual(self.applied[0], (0, 4))
        self.assertEqual(self.worker_file.settings.pool_size, 4)
        self.assertEqual(
            self.logged(LogLevel.warn)[0], f"{self.worker_file.path}: a restart is needed for worker/pool/size"
        )

    def test_secret(self) -> None:
        """The value of a secret is not logged."""
        self.write(one("worker/auth/plain/password", "hidden"))
        self.assertEqual(self.reload.now().changed, ("worker/auth/plain/password has changed",))
        self.assertNotIn("hidden", "".join(self.logged()))

    def test_sentences_of_a_part(self) -> None:
        """What a part says is logged when it is applied."""
        self.broker_file.add([], lambda _: self.change("users", "two users were added"))
        self.assertEqual(self.reload.now(), Reloaded(changed=("two users were added",)))

    def test_nothing_to_do(self) -> None:
        """A part may have nothing to apply."""
        self.broker_file.add([], lambda _: None)
        self.assertEqual(self.reload.now(), Reloaded())

    def test_declared(self) -> None:
        """The file knows which settings its parts apply."""
        self.assertEqual(self.worker_file.applied, {"errors_retries", "plain_password"})


class AllOrNothingTests(ReloadCase):
    """Configurations that cannot be used: nothing is applied, and the reason is logged."""

    def assert_refused(self, words: str) -> None:
        """Check that a reload applies nothing, and logs these words."""
        before = self.worker_file.settings, self.broker_file.settings
        result = self.reload.now()
        self.assertIn(words, "\n".join(result.errors))
        self.assertEqual((result.changed, result.restart), ((), ()))
        self.assertEqual(self.applied, [])
        self.assertEqual((self.worker_file.settings, self.broker_file.settings), before)
        lines = self.logged(LogLevel.error)
        self.assertEqual(lines, [f"the configuration is left as it is: {error}" for error in result.errors])

    def test_bad_value(self) -> None:
        """A bad value in one file keeps the other file from being applied, too."""
        self.write(one("worker/errors/retries", "3"))
        self.broker_path.write_text(one("server/timeout", "soon"), encoding="utf-8")
        self.assert_refused("server/timeout must be a number of milliseconds")

    def test_missing_file(self) -> None:
        """A missing file is refused, and not created."""
        self.broker_path.unlink()
        self.assert_refused("there is no file")
        self.assertFalse(self.broker_path.exists())

    def test_missing_folder(self) -> None:
        """A configuration whose directory of scripts is missing is refused."""
        self.worker_path.write_text(one("worker/scripts/dir", "nowhere"), encoding="utf-8")
        self.assert_refused("worker/scripts/dir: there is no folder")

    def test_objection(self) -> None:
        """If one part cannot use the settings, none applies them."""

        def refuse(_: BrokerSettings) -> Change:
            raise ConfigurationError("no such user\nno such role")

        self.broker_file.add([], refuse)
        self.assert_refused("no such user\nno such role")

    def test_defect(self) -> None:
        """A part that fails to prepare because of a defect keeps all others from applying, and ends nothing."""

        def fail(_: BrokerSettings) -> Change:
            raise KeyError("x")

        self.broker_file.add([], fail)
        self.assertEqual(self.reload.now().errors, ("KeyError('x')",))
        self.assertEqual(self.applied, [])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_fails_to_apply(self) -> None:
        """A part that fails to apply is logged, and the others apply."""

        def fail() -> None:
            raise KeyError("x")

        parts: list[Callable[[BrokerSettings], Change]] = [lambda _: Change(fail), lambda _: self.change("last")]
        for part in parts:
            self.broker_file.add([], part)
        self.reload.now()
        self.assertEqual(self.applied, [(0, 4), "broker", "last"])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)


class SoonTests(ReloadCase):
    """Requests that come from signals."""

    def test_storm(self) -> None:
        """Many requests lead to one reload at once, and to one more after the interval for those that came later."""
        for _ in range(1000):
            self.reload.soon()
        self.assertEqual(self.applied, [])
        self.clock.advance(0)
        self.assertEqual(self.applied, [(0, 4), "broker"])
        for _ in range(1000):
            self.reload.soon()
        self.clock.advance(INTERVAL_SECONDS - 0.01)
        self.assertEqual(len(self.applied), 2)
        self.clock.advance(0.01)
        self.assertEqual(len(self.applied), 4)
        self.clock.advance(10 * INTERVAL_SECONDS)
        self.assertEqual(len(self.applied), 4)

    def test_later(self) -> None:
        """A request after the interval is served at once."""
        self.reload.now()
        self.clock.advance(INTERVAL_SECONDS)
        self.reload.soon()
        self.clock.advance(0)
        self.assertEqual(len(self.applied), 4)

    def test_during_a_reload(self) -> None:
        """A request that arrives during a reload is served after the interval, since files may have been read."""
        requests = [self.reload.soon]
        self.broker_file.add([], lambda _: requests.pop()() if requests else None)
        self.reload.now()
        self.clock.advance(INTERVAL_SECONDS - 0.01)
        self.assertEqual(len(self.applied), 2)
        self.clock.advance(0.01)
        self.assertEqual(len(self.applied), 4)

    def test_around(self) -> None:
        """Each reload is preceded and followed by a call, even if the configuration is refused."""
        calls: list[str] = []
        self.reload.began, self.reload.ended = lambda: calls.append("began"), lambda: calls.append("ended")
        self.broker_path.unlink()
        self.reload.now()
        self.assertEqual(calls, ["began", "ended"])
