"""Write the tables of docs/json.md: ``python docs/json_page.py`` makes them from the types of the objects."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from alaska.commands.objects import OBJECTS

PAGE = Path(__file__).parent / "json.md"
_MARK = "<!-- made by json_page.py: begin -->\n{}<!-- made by json_page.py: end -->"
_TEXTS = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "null": "null"}


def tables() -> str:
    """Return the tables: what each command prints, and the members of each object."""
    types = list(dict.fromkeys(each for found in OBJECTS.values() for each in found))
    _, components = msgspec.json.schema_components(types, ref_template="#{name}")
    lines = ["", "## Commands", "", "| command | prints |", "| --- | --- |"]
    for command, found in OBJECTS.items():
        lines.append(f"| `alas {command}` | {', '.join(_link(each.__name__) for each in found)} |")
    lines += ["", "## Objects", ""]
    for name in sorted(components):
        lines += _object(name, components[name])
    return "\n".join(lines) + "\n"


def _object(name: str, schema: dict[str, Any]) -> Iterator[str]:
    about = " ".join(schema.get("description", "").split()).replace("``", "`")
    yield from (
        f"### {name}",
        "",
        textwrap.fill(about, 120, break_long_words=False),
        "",
        "| member | value |",
        "| --- | --- |",
    )
    for member, value in schema["properties"].items():
        yield f"| `{member}` | {_value(value)} |"
    yield ""


def _value(schema: dict[str, Any]) -> str:
    """Return what a member may be, in words."""
    if "$ref" in schema:
        return _link(schema["$ref"].removeprefix("#"))
    if "anyOf" in schema:
        return " or ".join(_value(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{each}`" for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of: {_value(schema['items'])}" if schema.get("items") else "list"
    if schema.get("type") == "object":
        more = schema.get("additionalProperties")
        return f"object whose members are: {_value(more)}" if isinstance(more, dict) and more else "object"
    return _TEXTS.get(schema.get("type", ""), "any")


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()})"


def page(text: str) -> str:
    """Return the text of the page with the tables as they are now."""
    return re.sub(_MARK.format(".*"), lambda _: _MARK.format(tables()), text, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
