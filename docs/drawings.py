"""Draw the pictures of docs/architecture.md: ``python docs/drawings.py`` writes them into this folder.

The first is made from the imports in ``alaska/``: an arrow points from a folder to one that it imports, unless other
arrows lead there too. The second shows the path of a request.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "alaska"
WORDS = "interfaces, shared values"
LOOSE = dict.fromkeys(
    ("interfaces", "message", "service_limits", "access", "authentication", "names", "endpoints"), WORDS
)
"""Files outside the folders, drawn as one box."""
LEFT_OUT = {"testing", "clock", "delivery"}
"""Tools for tests, and former import paths."""
PLANNED: dict[str, tuple[str, ...]] = {}
"""Planned folders, with the highest folders that they may import."""
SAYS = {
    "admin": "snapshots, HTTP, metrics",
    "aio": "for asyncio programs",
    "broker": "sessions, queues, streams",
    "client": "for any Twisted program",
    "commands": "alas send, run, check",
    "config": "files, environment, settings",
    "daemon": "signals, log, exit status",
    "errors": "one tree, with MLM statuses",
    "links": "ZeroMQ: the only txZMQ",
    "messaging": "what all clients share",
    "sockets": "ZeroMQ in any event loop",
    "lua": "Lua: the only lupa",
    "mlm": "protocol, without sockets",
    "pool": "threads and processes",
    "schedules": "cron and time zones",
    "store": "memory, SQLite",
    "traces": "trace contexts, spans",
    "sync": "for blocking programs",
    "system": "clocks, memory, descriptors",
    "web": "the page's files",
    "worker": "requests in, replies out",
    WORDS: "message, access, authentication, names",
}
BOX, GAP, ROW = (236, 46), 26, 92
FONT = "font-family='sans-serif'"

PARTICIPANTS = ("alas", "links", "broker", "store", "links ", "client", "worker", "pool", "lua")
STEPS = (
    ("alas", "links", "SERVICE-SEND"),
    ("links", "broker", "frames, decoded by mlm"),
    ("broker", "store", "keep, if the store is durable"),
    ("store", "broker", "on the disk"),
    ("broker", "alas", "CONFIRM 201: stored"),
    ("broker", "links ", "SERVICE-DELIVER, to an offer with credit"),
    ("links ", "client", "frames, decoded by mlm"),
    ("client", "worker", "delivery: intake"),
    ("worker", "pool", "request, queued for a slot"),
    ("pool", "lua", "thread or child process"),
    ("lua", "pool", "outcome of the script"),
    ("pool", "worker", "back in the reactor"),
    ("worker", "client", "sends flushed, reply mailed, CONFIRM"),
    ("client", "links ", "frames, encoded by mlm"),
    ("links ", "broker", "MAILBOX-SEND, CONFIRM"),
    ("broker", "store", "forget the request"),
    ("broker", "alas", "MAILBOX-DELIVER, CONFIRM 200: done"),
)


def imports() -> dict[str, set[str]]:
    """Return the folders that each folder imports."""
    found: dict[str, set[str]] = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        place = _place(file.relative_to(PACKAGE).with_suffix("").parts[0])
        if place is not None:
            found.setdefault(place, set()).update(
                other for name in _names(file) if (other := _place(name)) is not None and other != place
            )
    return {place: others & found.keys() for place, others in found.items()}


def _place(name: str) -> str | None:
    name = LOOSE.get(name, name)
    return None if name in LEFT_OUT or name.startswith("__") else name


def _names(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "alaska":
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("alaska."):
            yield node.module.split(".")[1]


def direct(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return a graph without the edges that are implied by paths of other edges."""

    def reach(start: str) -> set[str]:
        return graph[start].union(*(reach(each) for each in graph[start]))

    return {
        place: others - set().union(*(reach(other) for other in others)) if others else set()
        for place, others in graph.items()
    }


def levels(graph: dict[str, set[str]]) -> dict[str, int]:
    """Return the number of layers below each folder."""

    def level(place: str) -> int:
        return 1 + max(map(level, graph[place]), default=-1)

    return {place: level(place) for place in graph}


def folders() -> str:
    """Return the picture of the folders."""
    graph = direct(imports() | {place: set(below) for place, below in PLANNED.items()})
    level = levels(graph)
    lines = [_bends(place, below, level) for place in sorted(graph) for below in sorted(graph[place])]
    at = _placed(lines, level)
    width = max(x + _width(place) / 2 for place, (x, _) in at.items())
    arrows = [_line([at[place] for place in line]) for line in lines]
    boxes = [_box(*at[place], place, SAYS[place], is_planned=place in PLANNED) for place in sorted(graph)]
    return _svg(width, 20 + (max(level.values()) + 1) * ROW, [*arrows, *boxes])


def _bends(start: str, end: str, level: dict[str, int]) -> list[str]:
    """Return the points of an arrow: its ends, and a bend in each row between them, so that it crosses no box."""
    return [start, *(f"{start} {end} {row}" for row in range(level[start] - 1, level[end], -1)), end]


def _placed(lines: list[list[str]], level: dict[str, int]) -> dict[str, tuple[float, float]]:
    """Return the top center of each box and bend: as close as possible to the boxes that point to it."""
    rows: dict[int, list[str]] = {}
    for place in sorted({place for line in lines for place in line}):
        rows.setdefault(level[place] if place in level else int(place.split()[-1]), []).append(place)
    leads = [(above, below) for line in lines for above, below in pairwise(line)]
    widest = max(sum(_width(place) for place in row) for row in rows.values())
    at: dict[str, tuple[float, float]] = {}
    for number, depth in enumerate(sorted(rows, reverse=True)):
        wished = {
            place: sum(above) / len(above) if (above := [at[a][0] for a, b in leads if b == place]) else widest / 2
            for place in rows[depth]
        }
        row = sorted(rows[depth], key=lambda place: (wished[place], place))
        left = (widest - sum(map(_width, row))) / (len(row) + 1)
        x = left
        for place in row:
            at[place] = x + _width(place) / 2, 20 + number * ROW
            x += _width(place) + left
    return at


def _width(place: str) -> int:
    return BOX[0] + GAP if place in SAYS else GAP


def _line(points: list[tuple[float, float]]) -> str:
    """Return an arrow from a box, through bends, to a box."""
    (x, y), *bends, (end_x, end_y) = points
    path = [(x, y + BOX[1]), *((bx, by + part) for bx, by in bends for part in (0, BOX[1])), (end_x, end_y)]
    shown = " ".join(f"{px:.0f},{py:.0f}" for px, py in path)
    return f"<polyline points='{shown}' fill='none' stroke='#888' marker-end='url(#arrow)'/>"


def _box(x: float, y: float, name: str, says: str, *, is_planned: bool) -> str:
    dash = " stroke-dasharray='5 4'" if is_planned else ""
    return (
        f"<rect x='{x - BOX[0] / 2:.0f}' y='{y:.0f}' width='{BOX[0]}' height='{BOX[1]}' rx='6' fill='#eef4fa' "
        f"stroke='#345'{dash}/>"
        f"<text x='{x:.0f}' y='{y + 19:.0f}' {FONT} font-size='{10.5 if len(name) > 20 else 14}' font-weight='bold' "
        f"text-anchor='middle'>{escape(name)}</text>"
        f"<text x='{x:.0f}' y='{y + 36:.0f}' {FONT} font-size='11' text-anchor='middle'>{escape(says)}</text>"
    )


def way() -> str:
    """Return the picture of the path of a request."""
    column, top, step = 128, 56, 34
    at = {name: 70 + index * column for index, name in enumerate(PARTICIPANTS)}
    bottom = top + len(STEPS) * step
    parts = []
    for name, x in at.items():
        parts.append(
            f"<text x='{x}' y='24' {FONT} font-size='14' font-weight='bold' text-anchor='middle'>{name}</text>"
        )
        parts.append(f"<line x1='{x}' y1='34' x2='{x}' y2='{bottom}' stroke='#bbb'/>")
    for number, (start, end, says) in enumerate(STEPS):
        y = top + number * step
        left = min(at[start], at[end])
        parts.append(
            f"<line x1='{at[start]}' y1='{y}' x2='{at[end]}' y2='{y}' stroke='#345' marker-end='url(#arrow)'/>"
            f"<text x='{left + 8}' y='{y - 5}' {FONT} font-size='11'>{number + 1}. {escape(says)}</text>"
        )
    programs = (("sender", "alas", "alas"), ("broker", "links", "store"), ("worker", "links ", "lua"))
    for says, first, last in programs:
        x = at[first] - 52
        parts.append(
            f"<rect x='{x}' y='6' width='{at[last] - at[first] + 104}' height='{bottom + 18}' fill='none' "
            f"stroke='#9ab' stroke-dasharray='3 3' rx='8'/>"
            f"<text x='{x + 6}' y='{bottom + 40}' {FONT} font-size='12' fill='#567'>{says}</text>"
        )
    return _svg(at["lua"] + 80, bottom + 50, parts)


def _svg(width: float, height: float, parts: list[str]) -> str:
    arrow = (
        "<defs><marker id='arrow' markerWidth='9' markerHeight='8' refX='8' refY='4' orient='auto'>"
        "<path d='M0,0 L9,4 L0,8 z' fill='#345'/></marker></defs>"
    )
    size = f"width='{width:.0f}' height='{height:.0f}' viewBox='0 0 {width:.0f} {height:.0f}'"
    body = "\n".join([arrow, "<rect width='100%' height='100%' fill='white'/>", *parts])
    return f"<svg xmlns='http://www.w3.org/2000/svg' {size}>\n{body}\n</svg>\n"


DRAWINGS = {"folders.svg": folders, "request.svg": way}


if __name__ == "__main__":
    for name, draw in DRAWINGS.items():
        HERE.joinpath(name).write_text(draw(), encoding="utf-8")
