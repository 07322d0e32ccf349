"""Tables as they are drawn on a terminal, as wide as it is."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

_GAPS: Final = (3, 2, 1)
_FOLDED: Final = 14
"""A column of text is not made narrower than that. A time needs so much: its date is above its time of day."""
_MOST_LINES: Final = 3
"""A text that would take more lines in its column is better read in a paragraph."""
_INDENT: Final = "  "


def draw(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int, is_colored: bool) -> str:
    """Return a table that is at most ``width`` wide, and has all of each text.

    If there is no room, long texts take several lines, and numbers and short texts do not. If that does not suffice, as
    for many columns on a terminal of 80, each row is a paragraph with the names of the columns. A column whose name
    begins with ``>`` has numbers.
    """
    # It takes longer to import than a broker to answer.
    from rich.console import Console  # noqa: PLC0415

    found = _fitted(columns, rows, width)
    drawn: RenderableType = _table(columns, rows, *found) if found else _paragraphs(columns, rows, width)
    output = io.StringIO()
    Console(file=output, force_terminal=True, width=width, no_color=not is_colored, highlight=False).print(drawn)
    return output.getvalue().strip("\n")


def _fitted(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> tuple[list[int], int] | None:
    """Return the widths of the columns, and of the gaps between them; None if they do not fit."""
    from rich.cells import cell_len  # noqa: PLC0415

    natural, least = [], []
    for index, name in enumerate(columns):
        title = name.lstrip(">")
        word = max(map(len, title.split()))
        cells = min(width, max(cell_len(row[index]) for row in rows))
        natural.append(max(len(title), cells))
        least.append(max(word, cells if name.startswith(">") else min(cells, _FOLDED)))
    for gap in _GAPS:
        if sum(natural) + gap * (len(columns) - 1) <= width:
            return natural, gap
    room = width - (len(columns) - 1)
    if sum(least) > room:
        return None
    widths = list(natural)
    while sum(widths) > room:
        widest = max((has - needs, index) for index, (has, needs) in enumerate(zip(widths, least, strict=True)))[1]
        widths[widest] -= 1
    is_readable = all(wanted <= _MOST_LINES * has for wanted, has in zip(natural, widths, strict=True))
    return (widths, 1) if is_readable else None


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int], gap: int) -> Table:
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0, header_style="bold")
    for name, width in zip(columns, widths, strict=True):
        table.add_column(
            name.lstrip(">"), justify="right" if name.startswith(">") else "left", width=width, overflow="fold"
        )
    for row in rows:
        # As Text: what clients send must not be read as markup.
        table.add_row(*map(Text, row))
    table.padding = (0, gap - 1, 0, 0)  # a column of the box is between them as well
    return table


def _paragraphs(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Text:
    from rich.text import Text  # noqa: PLC0415

    names = [name.lstrip(">") for name in columns]
    return Text("\n").join(line for row in rows for line in _paragraph(names, row, width))


def _paragraph(names: Sequence[str], row: Sequence[str], width: int) -> Iterator[Text]:
    from rich.text import Text  # noqa: PLC0415

    line = Text()
    for name, value in zip(names, row, strict=True):
        pair = Text.assemble((name, "bold"), " ", value)
        if line and line.cell_len + len(_INDENT) + pair.cell_len > width:
            yield line
            line = Text(_INDENT)
        elif line:
            line.append(_INDENT)
        line.append_text(pair)
    yield line
