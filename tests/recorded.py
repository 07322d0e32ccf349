"""The octets, conversations and trees that were recorded from the C programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "vectors"


def load(name: str) -> Any:
    """Return what the file of this name holds."""
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def octets(text: str | dict[str, str]) -> bytes:
    """Return a vector's string, which stands as hex where it is no UTF-8."""
    return bytes.fromhex(text["hex"]) if isinstance(text, dict) else text.encode()


def conversations() -> dict[str, Any]:
    """Return every recorded conversation by its name."""
    return {path.stem: load(f"transcripts/{path.name}") for path in sorted((FOLDER / "transcripts").glob("*.json"))}
