"""The documentation site: ``make docs`` builds it, with warnings as errors.

The pages in this folder are its sources. Pages that are made of code, such as the reference of ``alas``, and copies of
files outside of the folder are written to ``generated/`` before each build.
"""

from __future__ import annotations

import re
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
sys.path.insert(0, str(PROJECT))

from alaska import __version__  # noqa: E402
from docs.alas_pages import man_pages as alas_man_pages  # noqa: E402
from docs.generated_pages import write_pages  # noqa: E402

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "Alaska"
author = "the authors of Alaska"
copyright = author  # noqa: A001  # Sphinx's name
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.intersphinx"]
exclude_patterns = ["_build"]
root_doc = "index"
default_role = "code"
nitpicky = False
highlight_language = "none"

html_theme = "furo"
html_title = f"Alaska {release}"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False

man_pages = alas_man_pages()
man_make_section_directory = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True}
intersphinx_mapping: dict[str, tuple[str, str | None]] = {}  # the build needs no network

_UP = re.compile(r"\]\((\.\./[^)#\s]+)(#[^)\s]*)?\)")
_NAMED = re.compile(r"\[[\w./-]+\.md\](?=\([^)\s]+\.md(#[^)\s]*)?\))")
_FILE = re.compile(r"^( *)<!-- (?:file|settings): (\S+) -->\n *```(\w+)$", re.MULTILINE)
_PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "generated/changes.md",
    "CONTRIBUTING.md": "generated/contributing.md",
    "benchmarks/README.md": "generated/benchmarks.md",
    "benchmarks/RESULTS.md": "generated/results.md",
    "benchmarks/PROFILE.md": "generated/profile.md",
}
"""Files outside of this folder, and the pages of the site with their text."""


def _link(found: re.Match[str], *, page: str) -> str:
    """Return the end of a link to a file outside of this folder: its page, the file itself, or for a folder nothing."""
    target = (HERE / page).parent.joinpath(found[1]).resolve()
    if HERE in target.parents:
        return found[0]
    path = target.relative_to(PROJECT).as_posix()
    if path in _PAGES:
        return f"](/{_PAGES[path]}{found[2] or ''})"
    return found[0] if target.is_file() and target.suffix != ".md" else "]"


def _rewrite(_app: Sphinx, name: str, source: list[str]) -> None:
    """Let links to files outside of this folder lead to pages, name pages by titles, and name the files in blocks."""
    if "/" not in name or name.startswith("howto/"):
        source[0] = _UP.sub(partial(_link, page=name), source[0])
        source[0] = _FILE.sub(r"\1```{code-block} \3\n\1:caption: \2\n", source[0])
    # A file as the text of a link is for readers of the files; readers of the site get the title of the page.
    source[0] = _NAMED.sub("[]", source[0])
    if name == "settings":
        source[0] = re.sub(r"\bdocs/([a-z-]+)\.md\b", r"[\1](/\1.md)", source[0])


def setup(app: Sphinx) -> None:
    """Write the generated pages, and have links rewritten."""
    write_pages(HERE / "generated")
    app.connect("source-read", _rewrite)
