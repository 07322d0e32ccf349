"""How ``alas test`` reports: as lines for people, as TAP (version 14), and as a file in the format of JUnit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from alaska.commands.script_tests import Result


def as_line(result: Result) -> str:
    """Return a result as lines for people."""
    what = f"{result.file}: {result.name}" if result.name else str(result.file)
    if result.has_passed:
        return f"ok      {what} ({1000 * result.seconds:.0f} ms)"
    return f"FAILED  {what}\n{_indented(result.why, 8)}"


def summary(results: Sequence[Result]) -> str:
    """Return what all tests have come to, as a line."""
    failed = sum(not result.has_passed for result in results)
    return f"{len(results) - failed} passed, {failed} failed"


def as_tap(results: Sequence[Result]) -> str:
    """Return the results in TAP."""
    lines = ["TAP version 14", f"1..{len(results)}"]
    for number, result in enumerate(results, 1):
        # A # would begin a directive.
        name = f"{result.file}: {result.name}".replace("#", r"\#").replace("\n", " ").replace("\r", " ")
        lines.append(f"{'' if result.has_passed else 'not '}ok {number} - {name}")
        if not result.has_passed:
            lines += ["  ---", "  message: |", _indented(result.why, 4), "  ..."]
    return "\n".join(lines)


def _indented(text: str, width: int) -> str:
    return "\n".join(" " * width + line for line in text.split("\n"))


def junit(results: Sequence[Result]) -> bytes:
    """Return the results as a document in the format of JUnit, a suite for each file."""
    root = ElementTree.Element("testsuites", tests=str(len(results)), failures=_failures(results))
    by_file: dict[Path, list[Result]] = {}
    for result in results:
        by_file.setdefault(result.file, []).append(result)
    for file, of_file in by_file.items():
        seconds = f"{sum(result.seconds for result in of_file):.3f}"
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=_allowed(str(file)),
            tests=str(len(of_file)),
            failures=_failures(of_file),
            time=seconds,
        )
        for result in of_file:
            name = _allowed(result.name or "(file)")
            case = ElementTree.SubElement(
                suite, "testcase", classname=_allowed(file.stem), name=name, time=f"{result.seconds:.3f}"
            )
            if not result.has_passed:
                failure = ElementTree.SubElement(case, "failure", message=_allowed(result.why.split("\n")[0]))
                failure.text = _allowed(result.why)
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _failures(results: Sequence[Result]) -> str:
    return str(sum(not result.has_passed for result in results))


def _allowed(text: str) -> str:
    """Return a text without characters that XML does not allow."""
    return "".join(each if each in "\t\n" or each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
