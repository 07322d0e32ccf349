"""Reading settings from a tree and the environment."""

from __future__ import annotations

from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.config import BrokerSettings, WorkerSettings
from alaska.config.settings import Settings
from alaska.config.zpl import ROOT, Item, loads
from alaska.errors import ConfigurationError
from tests.config.texts import broker, one, worker
from tests.recorded import load as vectors


class RepeatedTests(SynchronousTestCase):
    """Settings files with several occurrences of a name."""

    def test_recorded_files(self) -> None:
        """The recorded files of the C programs are read without a warning."""
        texts = {case["case"]: case["text"] for case in vectors("zpl.json")["load"]}
        for case, cls in (
            ("broker file", BrokerSettings),
            ("a broker file with comments", BrokerSettings),
            ("worker file", WorkerSettings),
        ):
            tree = loads(texts[case], case)
            cls.from_tree(tree)
            self.assertEqual(cls.file_warnings(tree), [])

    def test_first_of_several(self) -> None:
        """The first of several values, and of several sections, counts."""
        text = (
            "worker\n    pool\n        size = 1\n        size = 2\n    pool\n        size = 3\nworker\n    syslog = 1\n"
        )
        self.assertEqual(worker(text), WorkerSettings(pool_size=1))

    def test_only_the_first_section_of_the_broker(self) -> None:
        """Repeated settings count below the first top-level section only."""
        text = (
            "mlm_server\n    bind\n        endpoint = tcp://*:1\nmlm_server\n    bind\n        endpoint = tcp://*:2\n"
        )
        self.assertEqual(broker(text).endpoints, ("tcp://*:1",))


class EnvironmentTests(SynchronousTestCase):
    """Settings from the environment."""

    def test_precedence(self) -> None:
        """A variable overrides the file, and the file overrides the default."""
        text = one("worker/pool/size", "7")
        self.assertEqual(worker(text, {"ALASKA_WORKER_POOL_SIZE": "9"}).pool_size, 9)
        self.assertEqual(worker(text, {}).pool_size, 7)
        self.assertEqual(worker("", {"ALASKA_WORKER_POOL_SIZE": "9"}).pool_size, 9)

    def test_broker(self) -> None:
        """The broker's variables have the prefix MALAMUTE; a - in a path becomes a _."""
        variables = {"MALAMUTE_SERVER_TIMEOUT": "1", "MALAMUTE_MLM_SERVER_SERVICE_QUEUE_SIZE_LIMIT": "2"}
        found = broker("", variables)
        self.assertEqual((found.timeout, found.service_size_limit), (1, 2))

    def test_repeated(self) -> None:
        """A variable replaces all values of a repeated setting by one."""
        text = "mlm_server\n    bind\n        endpoint = tcp://*:1\n    bind\n        endpoint = tcp://*:2\n"
        self.assertEqual(broker(text, {"MALAMUTE_MLM_SERVER_BIND_ENDPOINT": "tcp://*:3"}).endpoints, ("tcp://*:3",))

    def test_hides_a_bad_value(self) -> None:
        """A value that a variable overrides is not checked."""
        self.assertEqual(worker(one("worker/pool/size", "many"), {"ALASKA_WORKER_POOL_SIZE": "9"}).pool_size, 9)

    def test_error_names_the_variable(self) -> None:
        """An error about a value from the environment names its variable."""
        error = self.assertRaises(ConfigurationError, worker, "", {"ALASKA_WORKER_POOL_SIZE": ""})
        self.assertEqual(str(error), "ALASKA_WORKER_POOL_SIZE must be a number from 1 to 1024, found ''")

    def test_not_utf_8(self) -> None:
        """A variable that is not UTF-8 is refused."""
        error = self.assertRaises(ConfigurationError, worker, "", {"ALASKA_WORKER_USER": "\udce9"})
        self.assertEqual(str(error), "ALASKA_WORKER_USER must be a string of 1 to 255 octets, found '\\udce9'")

    def test_unknown(self) -> None:
        """An unknown variable that looks like a setting gives a warning, with the most similar known one."""
        words = "is not known and has no effect"
        for name, hint in (
            ("ALASKA_WORKER_POOL_SIZ", "; did you mean ALASKA_WORKER_POOL_SIZE?"),
            ("ALASKA_POOL_SIZE", "; did you mean ALASKA_WORKER_POOL_SIZE?"),
            ("alaska_worker_pool_size", "; did you mean ALASKA_WORKER_POOL_SIZE?"),
            ("ALASKA_WORKER_LANGUAGE_OF_THE_DAY", ""),
        ):
            expected = [f"the environment variable '{name}' {words}{hint}"]
            self.assertEqual(WorkerSettings.environment_warnings({name: "1"}), expected)

    def test_other_variables(self) -> None:
        """Variables of settings, of free-form sections and of other programs give no warning."""
        known = {WorkerSettings.variable(entry.path): "1" for entry in WorkerSettings.entries().values()}
        others = {"ALASKA_ENDPOINT": "", "ALASKA_USERNAME": "", "ALASKA_PASSWORD": "", "ALASKA_HOME": "", "PATH": ""}
        self.assertEqual(WorkerSettings.environment_warnings(known | others | {"ALASKA_WORKER_SCRIPTS_ENV_X": ""}), [])

    def test_variables_differ(self) -> None:
        """Each setting has a different variable."""
        for cls in (WorkerSettings, BrokerSettings):
            variables = {cls.variable(entry.path) for entry in cls.entries().values()}
            self.assertEqual(len(variables), len(fields(cls)))


def _paths(cls: type[Settings]) -> list[str]:
    return [entry.path for entry in cls.entries().values()]


PATHS = st.sampled_from([*_paths(WorkerSettings), *_paths(BrokerSettings), "worker/poll", "x", "mlm_server"])
GOOD_AND_BAD = st.sampled_from(["0", "1", "max", "plain", "tcp://*:0", "ipc://a", "(", "*", "9" * 30, "\0", "\udce9"])
PUTS = st.lists(st.tuples(PATHS, GOOD_AND_BAD | st.text(max_size=5)), max_size=6)
ANY_ITEMS = st.recursive(
    st.builds(Item, st.text(max_size=5), st.none() | st.text(max_size=5)),
    lambda below: st.builds(Item, PATHS | st.text(max_size=5), st.none(), st.lists(below, max_size=3).map(tuple)),
    max_leaves=8,
)


def _built(puts: list[tuple[str, str]]) -> Item:
    tree = Item(ROOT, source="a.cfg")
    for path, value in puts:
        tree = tree.put(path, value)
    return tree


TREES = PUTS.map(_built) | st.builds(Item, st.just(ROOT), st.none(), st.lists(ANY_ITEMS, max_size=3).map(tuple))


class AnyTreeTests(SynchronousTestCase):
    """Any tree and any environment."""

    @given(TREES, st.sampled_from([WorkerSettings, BrokerSettings]), st.dictionaries(PATHS, GOOD_AND_BAD, max_size=2))
    def test_any_tree(self, tree: Item, cls: type[Settings], variables: dict[str, str]) -> None:
        """Any tree and environment give settings or an error, and warnings that are sentences."""
        for sentence in cls.file_warnings(tree):
            self.assertIn("has no effect", sentence)
        try:
            settings = cls.from_tree(tree, {cls.variable(path): value for path, value in variables.items()})
        except ConfigurationError as error:
            for sentence in str(error).split("\n"):
                # A limit of a service has several parts, and says what is wrong with one of them.
                self.assertRegex(sentence, " must be |(service/limit|SERVICE_LIMIT): ")
        else:
            settings.warnings()

    @given(st.sampled_from([WorkerSettings, BrokerSettings]), st.data())
    def test_explicit_defaults(self, cls: type[Settings], data: st.DataObject) -> None:
        """A default that is written in the file changes nothing."""
        entries = [entry for entry in cls.entries().values() if entry.default is not None]
        chosen = data.draw(st.lists(st.sampled_from(entries)))
        tree = _built([(entry.path, entry.default or "") for entry in chosen])
        self.assertEqual(cls.from_tree(tree), cls())
