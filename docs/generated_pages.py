"""The pages of the site that are no files of this folder: the reference of ``alas``, copies of other documents."""

from __future__ import annotations

import re
import shutil
from functools import partial
from pathlib import Path

from docs.alas_pages import write_alas_pages

PROJECT = Path(__file__).resolve().parent.parent
COPIES = {
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/README.md": "benchmarks.md",
    "benchmarks/RESULTS.md": "results.md",
    "benchmarks/PROFILE.md": "profile.md",
}
PICTURES = ("benchmarks/results.svg",)
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(#[^)\s]*)?\)")


def write_pages(folder: Path) -> None:
    """Write all generated pages into a folder, which is made if it is missing."""
    write_alas_pages(folder / "alas")
    for source, name in COPIES.items():
        path = PROJECT / source
        text = _LINK.sub(partial(_moved, base=path.parent), path.read_text(encoding="utf-8"))
        folder.joinpath(name).write_text(text, encoding="utf-8")
    for picture in PICTURES:
        shutil.copyfile(PROJECT / picture, folder / Path(picture).name)


def _moved(found: re.Match[str], *, base: Path) -> str:
    """Return the end of a link in a copied document, as it is in the folder of the copies."""
    target = (base / found[1]).resolve()
    name = target.relative_to(PROJECT).as_posix()
    if name in COPIES:
        place = COPIES[name]
    elif name in PICTURES:
        place = Path(name).name
    elif name == "README.md":
        place = "../index.md"
    elif name.startswith("docs/") and target.suffix == ".md":
        place = f"../{name.removeprefix('docs/')}"
    elif target.is_file():
        place = f"../../{name}"
    else:
        return "]"
    return f"]({place}{found[2] or ''})"
