"""The test vectors that were recorded from the C programs: octets, conversations and configuration trees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "vectors"


def load(name: str) -> Any:
    """Return the content of a JSON file of test vectors."""
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def octets(text: str | dict[str, str]) -> bytes:
    """Return the octets of a string in a test vector, which is in hex if it is not UTF-8."""
    return bytes.fromhex(text["hex"]) if isinstance(text, dict) else text.encode()


def conversations() -> dict[str, Any]:
    """Return all recorded conversations by name."""
    return {path.stem: load(f"transcripts/{path.name}") for path in sorted((FOLDER / "transcripts").glob("*.json"))}
