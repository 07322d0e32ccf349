"""Runs the tests of scripts: files ``NAME_test.lua`` beside ``NAME.lua``, in Lua (``testing.lua``).

The test file runs in an interpreter of its own. For each ``given{}``, the script runs in a new one, with the limits of
a worker and an empty key-value store, and what it did is returned to the test.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import NamedTuple

from alaska.commands.trial import Bench
from alaska.config import WorkerSettings
from alaska.errors import AlaskaError, ScriptError
from alaska.lua.files import read_file
from alaska.lua.questions import NONE, OK, Frames
from alaska.lua.request import Outcome, Request
from alaska.store.kv import KeyValues
from alaska.traces.context import TraceContext
from alaska.worker.calls import to_octets, to_value
from alaska.worker.requester import Asked

SUFFIX = "_test.lua"
PATIENCE_SECONDS = 1.0
"""How long after its time limit a script is considered stuck."""
FILE_SECONDS = 300.0
"""How long the tests of a file may take together."""
_SCRIPT = "testing.lua"


class Result(NamedTuple):
    """The result of a test: ``why`` is empty if it has passed. ``file`` is that of the test."""

    file: Path
    name: str
    why: str
    seconds: float

    @property
    def has_passed(self) -> bool:
        """Whether the test has passed."""
        return not self.why


def files_of(path: Path) -> list[Path]:
    """Return the test files below a directory, sorted; a path that is no directory is returned itself."""
    return sorted(path.rglob(f"*{SUFFIX}")) if path.is_dir() else [path]


def run_tests(
    file: Path, settings: WorkerSettings, report: Callable[[Result], None], seconds: float = FILE_SECONDS
) -> None:
    """Run the tests of a file, and report each when it has ended.

    A file that cannot be read or does not compile, one without tests, and one that takes longer than ``seconds``, is a
    test that has failed.
    """
    began = monotonic()
    tests: list[Result] = []

    def add(result: Result) -> None:
        tests.append(result)
        report(result)

    why = _run(file, settings, add, seconds)
    if why is None and not tests:
        why = "there are no tests in it"
    if why is not None:
        report(Result(file, "", why, monotonic() - began))


def _run(file: Path, settings: WorkerSettings, report: Callable[[Result], None], seconds: float) -> str | None:
    """Run the tests of a file; return why that is not possible, or None."""
    script = file.with_name(file.name.removesuffix(SUFFIX) + ".lua")
    try:
        source = read_file(os.fsencode(file.parent), os.fsencode(file)).source
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    except AlaskaError as error:
        return str(error)
    if not file.name.endswith(SUFFIX):
        return f"the name of a file with tests ends with {SUFFIX}"
    if not script.exists():
        return f"there is no {script.name} beside it"
    # The test may run the script often, and waits for it.
    most = max(1, round(seconds * 1000))
    outer = replace(
        settings, scripts_timeout=most, scripts_sends=None, scripts_sends_size=None, pool_isolation="thread"
    )
    with TemporaryDirectory() as folder:
        path = Path(folder, _SCRIPT)
        path.write_bytes(resources.files(__package__).joinpath(_SCRIPT).read_bytes())
        bench = Bench(outer, Path(folder), Tester(file, script, settings, report))
        request = Request(b"", b"", b"testing", b"", (source, os.fsencode(file.name)))
        began = monotonic()
        outcome = bench.run(request, seconds + PATIENCE_SECONDS)
        bench.close()
    if outcome.error is not None and monotonic() - began >= seconds:
        return f"its tests took longer than {seconds:g} s (--time-limit)"
    return None if outcome.error is None else str(outcome.error)


class Tester:
    """Answers the requests of a test file: runs the script that is tested, and takes the results of tests."""

    def __init__(self, file: Path, script: Path, settings: WorkerSettings, report: Callable[[Result], None]) -> None:
        self._file = file
        self._script = script
        self._settings = settings
        self._report = report

    def ask_all(
        self, requests: Sequence[Asked], trace: TraceContext | None = None, owner: Request | None = None
    ) -> list[Frames]:
        """See :class:`alaska.worker.calls.AnyRequester`."""
        return [self._answer(each) for each in requests]

    def _answer(self, asked: Asked) -> Frames:
        if asked.service != b"script":
            return (NONE, b"a test asks no services; the script that it tests does, see given{requests = ...}")
        if asked.subject == b"run":
            return (OK, *self._run(given_of(iter(asked.content), self._script)))
        name, state, why, seconds = asked.content
        text = why.decode("utf-8", "backslashreplace")
        fault = "" if state == b"ok" else text or "it failed"
        self._report(Result(self._file, name.decode("utf-8", "backslashreplace"), fault, float(seconds)))
        return (OK,)

    def _run(self, given: Given) -> Iterator[bytes]:
        """Run the script, and yield what it did."""
        requester = Answers(given.answers)
        kv = KeyValues(None, self._settings.kv_limit)
        for key, given_value in given.kv.items():
            kv.set(key, to_value(given_value), kv.now())
        bench = Bench(self._settings, self._script.parent, requester, kv)
        limit = self._settings.scripts_timeout / 1000
        outcome = bench.run(given.request, limit + PATIENCE_SECONDS if limit else None)
        bench.close()
        yield from results_of(outcome)
        for asked in requester.asked:
            yield from (b"asked", asked.service, asked.subject, b"%d" % len(asked.content), *asked.content)
        values = {name: kv.get(name, kv.now()) for name in given.kv}
        kept = {name: value for name, value in values.items() if value is not None}
        yield from (b"kv", b"%d" % len(kept))
        for name, value in kept.items():
            yield from (name, to_octets(value))


class Given(NamedTuple):
    """What a test gives to the script: its request, the answers of other services, and the key-value store."""

    request: Request
    answers: dict[bytes, tuple[bytes, bytes]]
    kv: dict[bytes, bytes]


def given_of(frames: Iterator[bytes], script: Path) -> Given:
    """Return what ``given{}`` in ``testing.lua`` has made of its table."""
    fields: dict[bytes, bytes] = {}
    content: list[bytes] = []
    headers: list[tuple[bytes, bytes]] = []
    answers: dict[bytes, tuple[bytes, bytes]] = {}
    kv: dict[bytes, bytes] = {}
    for word in frames:
        if not word:  # a request without frames has an empty one
            break
        if word == b"frame":
            content.append(next(frames))
        elif word == b"field":
            fields[next(frames)] = next(frames)
        elif word == b"header":
            headers.append((next(frames), next(frames)))
        elif word == b"kv":
            name = next(frames)
            kv[name] = next(frames)
        else:
            name = next(frames)
            answers[name] = (OK if word == b"answer" else NONE), next(frames)
    position = fields.get(b"position")
    request = Request(
        fields.get(b"sender", b"test"),
        b"test",
        os.fsencode(script.stem) if b"subject" not in fields else fields[b"subject"],
        fields.get(b"tracker", b""),
        tuple(content) or (b"",),
        int(fields.get(b"attempt", b"1")),
        worker=b"alas",
        headers=tuple(headers),
        snoozes=int(fields.get(b"snoozes", b"0")),
        stream=fields.get(b"stream"),
        position=None if position is None else int(position),
    )
    return Given(request, answers, kv)


class Answers:
    """Answers the requests of the script as the test says, by service and subject, or by service alone."""

    def __init__(self, answers: dict[bytes, tuple[bytes, bytes]]) -> None:
        self._answers = answers
        self.asked: list[Asked] = []

    def ask_all(
        self, requests: Sequence[Asked], trace: TraceContext | None = None, owner: Request | None = None
    ) -> list[Frames]:
        """See :class:`alaska.worker.calls.AnyRequester`."""
        self.asked += requests
        return [self._answer(each) for each in requests]

    def _answer(self, asked: Asked) -> Frames:
        whole = asked.service + b" " + asked.subject
        found = self._answers.get(whole) or self._answers.get(asked.service)
        return (NONE, b"the test gives no answer of " + whole) if found is None else found


def results_of(outcome: Outcome) -> Iterator[bytes]:
    """Yield what a script did, as ``testing.lua`` reads it."""
    yield from (b"seconds", b"%.6f" % outcome.seconds, b"output", _printed(outcome))
    for line in outcome.log:
        if line.level != "print":
            yield from (b"log", line.level.encode(), line.text)
    for send in outcome.sends:
        if send.kind.value == "reply":
            yield from (b"answer", b"%d" % len(send.content), *send.content)
            continue
        yield from (b"sent", _KINDS[send.kind.value], send.topic, send.subject)
        for values in (send.headers, tuple((name.encode(), value) for name, value in send.terms)):
            yield b"%d" % len(values)
            for name, value in values:
                yield from (name, value)
        yield from (b"%d" % len(send.content), *send.content)
    if outcome.verdict is not None:
        verdict = outcome.verdict
        seconds = b"" if verdict.seconds is None else b"%g" % verdict.seconds
        yield from (b"verdict", verdict.kind.value.encode(), seconds, verdict.why)
    if outcome.progress:
        yield from (b"progress", outcome.progress.partition(b" ")[0])
    if outcome.error is not None:
        yield from (b"error", _text(outcome.error))


_KINDS = {"stream": b"stream", "mailbox": b"mail", "service": b"request"}


def _printed(outcome: Outcome) -> bytes:
    return b"".join(line.text for line in outcome.log if line.level == "print") + outcome.output


def _text(error: ScriptError) -> bytes:
    return error.message.encode("utf-8", "backslashreplace")
