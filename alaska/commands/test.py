"""``alas test``: runs the tests of scripts."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from alaska.commands import settings, shown, streams
from alaska.commands.command import Command, failed
from alaska.commands.script_tests import FILE_SECONDS, Result, files_of, run_tests
from alaska.commands.tap_and_junit import as_line, as_tap, junit, summary
from alaska.commands.values import DURATION, FILE, one_of

_EPILOG = """\
exit status: 0 if all tests have passed, 1 if not, 2 for a wrong command line

examples: alas test services/
          alas test services/hello_test.lua --tap
          alas test services/ --junit report.xml"""


@click.command("test", cls=Command, epilog=_EPILOG)
@click.argument("paths", type=FILE, nargs=-1, metavar="[PATH]...")
@settings.config_option
@click.option("--tap", is_flag=True, help="Print the results in TAP.")
@click.option("--junit", "junit_file", type=FILE, metavar="FILE", help="Also write them to a file as JUnit does.")
@click.option(
    "--time-limit",
    "seconds",
    type=DURATION,
    default=FILE_SECONDS,
    metavar="TIME",
    help="How long the tests of one file may take together (5m).",
)
@shown.json_option
def test(
    paths: tuple[Path, ...], config: Path | None, tap: bool, junit_file: Path | None, seconds: float, as_json: bool
) -> None:  # fmt: skip
    """Run the tests of scripts: the files NAME_test.lua beside NAME.lua.

    A PATH is such a file, or a directory of them (default: the scripts directory of the settings). docs/testing.md says
    what a test can do. Nothing is sent to a broker.
    """
    one_of(tap=tap, json=as_json)
    loaded = settings.load(config)
    results: list[Result] = []

    def report(result: Result) -> None:
        results.append(result)
        if as_json:
            fields = {"file": str(result.file), "test": result.name, "passed": result.has_passed, "why": result.why}
            streams.write_line(shown.lines([{**fields, "seconds": result.seconds}]))
        elif not tap:
            streams.write_line(streams.safe(as_line(result)))

    paths = paths or (loaded.scripts_dir,)
    for path in paths:
        if not path.exists():
            raise failed(f"there is no {path}; alas new NAME makes a script with its test")
    for path in paths:
        for file in files_of(path):
            run_tests(file, loaded, report, seconds)
    if tap:
        streams.write_line(streams.safe(as_tap(results)))
    if not results:
        raise failed("there are no tests: a file NAME_test.lua beside NAME.lua has those of NAME.lua")
    if junit_file is not None:
        _write(junit_file, junit(results))
    if not (tap or as_json):
        streams.write_line(summary(results), sys.stderr)
    raise SystemExit(not all(result.has_passed for result in results))


def _write(file: Path, document: bytes) -> None:
    try:
        file.write_bytes(document)
    except OSError as error:
        raise failed(f"{file} cannot be written: {error.strerror}") from None
