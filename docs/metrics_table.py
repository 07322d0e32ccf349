"""Write the tables of docs/metrics.md: ``python docs/metrics_table.py`` replaces them by what the code exports."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from alaska.admin import loop_lag
from alaska.admin.families import Family
from alaska.admin.http import figures as http
from alaska.admin.metrics import LEFT_OUT
from alaska.broker import details
from alaska.broker import figures as broker
from alaska.worker import figures as worker

PAGE = Path(__file__).parent / "metrics.md"
UNITS = {"_seconds": "seconds", "_bytes": "octets", "_rows": "rows", "_records": "records"}
TABLES = {
    "broker": broker.FAMILIES,
    "worker": worker.FAMILIES,
    "http": http.FAMILIES,
    "process": loop_lag.FAMILIES,
    "detailed": (*details.FAMILIES, *worker.DETAILS, LEFT_OUT),
}
"""The families of each table; the marks in the page have these names."""


def unit_of(family: Family) -> str:
    """Return the unit of a family, which is the end of its name."""
    name = family.name.removesuffix("_total")
    return next((unit for end, unit in UNITS.items() if name.endswith(end)), "")


def table(families: Iterable[Family]) -> str:
    """Return the table of some families."""
    rows = ["| metric | type | unit | labels | meaning |", "| --- | --- | --- | --- | --- |"]
    for family in families:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        rows.append(f"| `{family.name}` | {family.kind.value} | {unit_of(family)} | {labels} | {family.doc} |")
    return "\n".join(rows)


def with_tables(text: str) -> str:
    """Return the text of the page with the current tables."""
    for name, families in TABLES.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        text = re.sub(f"{begin}.*?{end}", lambda _: f"{begin}\n\n{table(families)}\n\n{end}", text, flags=re.DOTALL)  # noqa: B023
    return text


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
