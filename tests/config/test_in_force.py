"""Writing the settings in force as a settings file."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.config import BrokerSettings, WorkerSettings
from alaska.config.entries import Entry
from alaska.config.in_force import in_force
from alaska.config.settings import Settings
from alaska.config.zpl import ROOT, Item, loads
from alaska.errors import ConfigurationError, PatternError, ScheduleError
from tests.config.texts import one

NAMES = st.sampled_from(["a", "b-c", "password", "x.y", "db"])
TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            "0",
            "1",
            "4",
            "10",
            "max",
            "full",
            "null",
            "plain",
            "thread",
            "tcp://*:1",
            "s count=1",
            "#'\"",
            "UTC",
            "n '@daily' s t",
            "m '@daily' s t {\"a\": 1}",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.text("\"'# \t\r\na", max_size=5),
)
IN_A_FILE = TEXTS.filter(lambda text: not {'"', "\n", "\0"}.intersection(text))


def is_valid(entry: Entry, text: str) -> bool:
    """Return whether a text is a value of a setting."""
    try:
        entry.kind.read(text)
    except (ValueError, PatternError, ScheduleError):
        return False
    return "\0" not in text


def is_writable(text: str) -> bool:
    """Return whether some line of a settings file gives a value."""
    for quote in ('"', "'", ""):
        try:
            if loads(f"x = {quote}{text}{quote}", "").get("x") == text:
                return True
        except ConfigurationError:
            continue
    return False


@st.composite
def free_items(draw: Any, depth: int = 2) -> tuple[Item, ...]:
    """Return items of a free-form section, none of which is an empty section or has a secret name."""
    found = []
    for name in draw(st.lists(NAMES.filter(lambda name: name != "password"), max_size=3)):
        children = draw(free_items(depth - 1)) if depth and draw(st.booleans()) else ()
        found.append(Item(name, draw(IN_A_FILE), children))
    return tuple(found)


@st.composite
def files(draw: Any, cls: type[Settings]) -> tuple[Item, dict[str, str]]:
    """Return the tree of a valid settings file, and an environment."""
    tree, environ = Item(ROOT, source="a.cfg"), {}
    for entry in draw(st.lists(st.sampled_from(list(cls.entries().values())), max_size=8)):
        if entry.free:
            items = draw(free_items())
            tree = tree.put(entry.path, "")
            tree = with_children(tree, entry.path.split("/"), items)
            for name in draw(st.lists(st.sampled_from(["A", "B_C", "NEW", "DB_A"]), max_size=2)):
                environ[f"{cls.variable(entry.path)}_{name}"] = draw(TEXTS.filter(is_writable))
            continue
        valid = TEXTS.filter(is_writable).filter(partial(is_valid, entry))
        value = draw(st.none() | valid)
        if value is None:
            continue
        if draw(st.booleans()):
            environ[cls.variable(entry.path)] = value
        else:
            tree = tree.put(entry.path, value)
    return tree, environ


def with_children(item: Item, names: list[str], children: tuple[Item, ...]) -> Item:
    """Return a tree with other items below a path that exists."""
    if not names:
        return dataclasses.replace(item, children=children)
    changed = [with_children(each, names[1:], children) if each.name == names[0] else each for each in item.children]
    return dataclasses.replace(item, children=tuple(changed))


def public(settings: Settings) -> dict[str, object]:
    """Return the values of settings that are not secret."""
    return {name: getattr(settings, name) for name, entry in settings.entries().items() if not entry.secret}


class LoadedAgainTests(SynchronousTestCase):
    """The text is a settings file that gives the same settings."""

    def check(self, cls: type[Settings], tree: Item, environ: dict[str, str]) -> None:
        """Check that the text gives the settings of a tree and an environment, and no line without effect."""
        try:
            settings = cls.from_tree(tree, environ)
        except ConfigurationError:
            return  # The values cannot be combined.
        text = in_force(cls, tree, environ)
        again = loads(text, "again.cfg")
        self.assertEqual(cls.file_warnings(again), [])
        self.assertEqual(public(cls.from_tree(again)), public(settings))

    @given(files(WorkerSettings))
    def test_any_worker(self, file: tuple[Item, dict[str, str]]) -> None:
        """The settings of a worker, whatever is in its file and environment, are the same when loaded again."""
        self.check(WorkerSettings, *file)

    @given(files(BrokerSettings))
    def test_any_broker(self, file: tuple[Item, dict[str, str]]) -> None:
        """The settings of a broker, whatever is in its file and environment, are the same when loaded again."""
        self.check(BrokerSettings, *file)

    def test_repeated(self) -> None:
        """Repeated settings stay repeated, each in its own section."""
        text = "mlm_server\n    bind\n        endpoint = tcp://*:1\n    bind\n        endpoint = tcp://*:2\n"
        tree = loads(text, "a.cfg")
        self.assertEqual(
            BrokerSettings.from_tree(loads(in_force(BrokerSettings, tree, {}), "")).endpoints,
            ("tcp://*:1", "tcp://*:2"),
        )
        environ = {"MALAMUTE_MLM_SERVER_BIND_ENDPOINT": "tcp://*:3"}
        self.assertEqual(
            BrokerSettings.from_tree(loads(in_force(BrokerSettings, tree, environ), "")).endpoints, ("tcp://*:3",)
        )


class OriginTests(SynchronousTestCase):
    """The comments."""

    def lines(self, text: str, environ: dict[str, str] | None = None) -> list[str]:
        """Return the lines of the settings in force, without indentation."""
        return [line.strip() for line in in_force(WorkerSettings, loads(text, "a.cfg"), environ or {}).splitlines()]

    def test_origins(self) -> None:
        """Each value has its origin: the file and the line, the variable, or the default."""
        lines = self.lines(one("worker/pool/size", "7"), {"ALASKA_WORKER_WORKDIR": "/srv"})
        self.assertIn('size = "7"    # a.cfg:3', lines)
        self.assertIn('workdir = "/srv"    # ALASKA_WORKER_WORKDIR', lines)
        self.assertIn('background = "0"    # default', lines)

    def test_secrets(self) -> None:
        """A password is not shown, whether it is in the file, in the environment, or a value for scripts."""
        for text, environ in (
            (one("worker/auth/plain/password", "hunter2"), {}),
            ("", {"ALASKA_WORKER_AUTH_PLAIN_PASSWORD": "hunter2"}),
            (one("worker/scripts/env/db-password", "hunter2"), {}),
            (one("worker/scripts/env/access_key", "hunter2"), {}),
            (one("worker/scripts/env/db", "postgres://ann:hunter2@db.example/shop"), {}),
            ("", {"ALASKA_WORKER_SCRIPTS_ENV_API_TOKEN": "hunter2"}),
        ):
            lines = self.lines(text, environ)
            self.assertNotIn("hunter2", "\n".join(lines))
            self.assertEqual(len([line for line in lines if "is not shown; it is given: " in line]), 1)

    def test_not_writable(self) -> None:
        """A value of the environment that a file cannot contain is replaced by a comment that says so."""
        for value in ("two\nlines", "both ' and \" with a space ", "\udc80"):
            lines = self.lines("", {"ALASKA_WORKER_SCRIPTS_ENV_X": value})
            self.assertIn(
                "# x is not shown, since a settings file cannot contain its value; it is given: "
                "ALASKA_WORKER_SCRIPTS_ENV_X",
                lines,
            )

    def test_unknown_names(self) -> None:
        """Lines without effect are left out."""
        self.assertNotIn("colour", "".join(self.lines("worker\n    colour = red\n    pool\n        size = 2\n")))
