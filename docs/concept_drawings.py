"""Draw the pictures of docs/concepts.md: ``python docs/concept_drawings.py`` writes them into this folder.

Each picture is a table of boxes and arrows.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

HERE = Path(__file__).parent
FONT = "font-family='sans-serif'"
HEIGHT = 44


class Box(NamedTuple):
    """A box with its middle, its name and what it says; ``is_end`` where nothing follows."""

    x: int
    y: int
    name: str
    says: str = ""
    width: int = 150
    is_end: bool = False


class Arrow(NamedTuple):
    """An arrow through points, and a text at a place."""

    points: tuple[tuple[int, int], ...]
    says: str = ""
    at: tuple[int, int] = (0, 0)
    anchor: str = "middle"


KINDS_BOXES = (
    Box(90, 70, "ann", "a client"),
    Box(90, 150, "bob", "a client"),
    Box(330, 110, "mailbox clerk", "one receiver"),
    Box(570, 110, "clerk", "reads it, now or later"),
    Box(90, 260, "sensor", "publishes"),
    Box(330, 260, "stream news", "numbered records"),
    Box(570, 220, "reader 1", "gets every record"),
    Box(570, 300, "reader 2", "gets every record"),
    Box(90, 410, "shop", "asks"),
    Box(330, 410, "service render", "a queue of requests"),
    Box(570, 370, "worker 1", "each request goes"),
    Box(570, 450, "worker 2", "to one of them"),
)
KINDS_ARROWS = (
    Arrow(((165, 70), (255, 102)), "mail", (210, 76)),
    Arrow(((165, 150), (255, 118)), "mail", (210, 152)),
    Arrow(((405, 110), (495, 110)), "1, 2, 3", (450, 102)),
    Arrow(((165, 260), (255, 260)), "record", (210, 252)),
    Arrow(((405, 252), (495, 220)), "1, 2, 3", (450, 226)),
    Arrow(((405, 268), (495, 300)), "1, 2, 3", (450, 304)),
    Arrow(((165, 410), (255, 410)), "request", (210, 402)),
    Arrow(((405, 402), (495, 370)), "1, 3", (450, 376)),
    Arrow(((405, 418), (495, 450)), "2", (450, 454)),
)

LIFE_BOXES = (
    Box(102, 60, "sent", "by a client, schedule, stream", 190),
    Box(90, 190, "delayed", "until its time", 150),
    Box(350, 60, "waiting", "in the queue, by priority", 170),
    Box(610, 60, "running", "a worker has it", 150),
    Box(870, 60, "done", "200, and the answer", 160, is_end=True),
    Box(610, 300, "dead letter", "kept, with the reason", 170),
    Box(870, 190, "cancelled", "410, at any time", 130, is_end=True),
    Box(350, 300, "expired", "its ttl has passed", 150, is_end=True),
)
LIFE_ARROWS = (
    Arrow(((197, 60), (265, 60)), "201: stored", (231, 52)),
    Arrow(((90, 82), (90, 168)), "delay, at", (96, 130), "start"),
    Arrow(((165, 180), (300, 82)), "it is time", (192, 128)),
    Arrow(((435, 52), (535, 52)), "delivered", (485, 44)),
    Arrow(((535, 68), (435, 68)), "worker lost", (485, 84)),
    Arrow(((685, 60), (790, 60)), "confirmed", (738, 52)),
    Arrow(((560, 82), (470, 190), (165, 190)), "failed: retry, after a wait", (250, 184)),
    Arrow(((610, 82), (610, 278)), "no attempt is left,", (618, 170), "start"),
    Arrow((), "rejected, no script", (618, 186), "start"),
    Arrow(((670, 82), (810, 182)), "cancel", (760, 128), "start"),
    Arrow(((560, 278), (400, 82)), "resend", (500, 226), "end"),
    Arrow(((340, 82), (340, 278)), "", (0, 0)),
)

CREDIT_LINES = (("sender", 90), ("broker", 360), ("worker", 630))
CREDIT_STEPS = (
    ("worker", "broker", "CREDIT 2: I have room for two"),
    ("sender", "broker", "request A"),
    ("broker", "sender", "201: A is stored"),
    ("broker", "worker", "A (credit 1)"),
    ("sender", "broker", "requests B and C"),
    ("broker", "worker", "B (credit 0); C waits"),
    ("worker", "broker", "CONFIRM A, CREDIT 1"),
    ("broker", "sender", "200: A is done"),
    ("broker", "worker", "C (credit 0)"),
    ("worker", "broker", "is killed: B and C were not confirmed"),
    ("broker", "broker", "B and C wait again, for another worker"),
)


def picture(width: int, height: int, boxes: tuple[Box, ...], arrows: tuple[Arrow, ...]) -> str:
    """Return a picture of boxes and arrows."""
    return _svg(width, height, [*map(_arrow, arrows), *map(_box, boxes)])


def sequence(width: int, lines: tuple[tuple[str, int], ...], steps: tuple[tuple[str, str, str], ...]) -> str:
    """Return a picture of what programs send to each other, from top to bottom."""
    at, top, step = dict(lines), 66, 36
    bottom = top + len(steps) * step
    parts = [_text(x, 24, name, 14, "middle", is_bold=True) for name, x in lines]
    parts += [f"<line x1='{x}' y1='34' x2='{x}' y2='{bottom}' stroke='#bbb'/>" for _, x in lines]
    for number, (start, end, says) in enumerate(steps):
        y = top + number * step
        if start == end:
            parts.append(_text(at[start], y, says, 12, "middle"))
        else:
            parts.append(_arrow(Arrow(((at[start], y), (at[end], y)), says, ((at[start] + at[end]) // 2, y - 6))))
    return _svg(width, bottom + 10, parts)


def _box(box: Box) -> str:
    left, top = box.x - box.width // 2, box.y - HEIGHT // 2
    fill = "#f3f3f3" if box.is_end else "#eef4fa"
    name_y = box.y - 3 if box.says else box.y + 5
    return (
        f"<rect x='{left}' y='{top}' width='{box.width}' height='{HEIGHT}' rx='6' fill='{fill}' stroke='#345'/>"
        + _text(box.x, name_y, box.name, 14, "middle", is_bold=True)
        + (_text(box.x, box.y + 14, box.says, 11, "middle") if box.says else "")
    )


def _arrow(arrow: Arrow) -> str:
    points = " ".join(f"{x},{y}" for x, y in arrow.points)
    line = f"<polyline points='{points}' fill='none' stroke='#345' marker-end='url(#arrow)'/>" if points else ""
    return line + (_text(*arrow.at, arrow.says, 11, arrow.anchor) if arrow.says else "")


def _text(x: int, y: int, text: str, size: int, anchor: str, *, is_bold: bool = False) -> str:
    weight = " font-weight='bold'" if is_bold else ""
    return f"<text x='{x}' y='{y}' {FONT} font-size='{size}'{weight} text-anchor='{anchor}'>{escape(text)}</text>"


def _svg(width: int, height: int, parts: list[str]) -> str:
    arrow = (
        "<defs><marker id='arrow' markerWidth='9' markerHeight='8' refX='8' refY='4' orient='auto'>"
        "<path d='M0,0 L9,4 L0,8 z' fill='#345'/></marker></defs>"
    )
    size = f"width='{width}' height='{height}' viewBox='0 0 {width} {height}'"
    body = "\n".join([arrow, "<rect width='100%' height='100%' fill='white'/>", *parts])
    return f"<svg xmlns='http://www.w3.org/2000/svg' {size}>\n{body}\n</svg>\n"


DRAWINGS = {
    "kinds.svg": lambda: picture(660, 490, KINDS_BOXES, KINDS_ARROWS),
    "life.svg": lambda: picture(965, 340, LIFE_BOXES, LIFE_ARROWS),
    "credit.svg": lambda: sequence(720, CREDIT_LINES, CREDIT_STEPS),
}


if __name__ == "__main__":
    for name, draw in DRAWINGS.items():
        HERE.joinpath(name).write_text(draw(), encoding="utf-8")
