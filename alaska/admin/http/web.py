"""The administration page: its files, as they are in ``alaska/web``."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from alaska import web
from alaska.admin.http.answers import Answer
from alaska.admin.http.routes import Asked, Route
from alaska.admin.http.users import Role
from alaska.errors import HTTPRefused

KINDS = {
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".svg": b"image/svg+xml",
}
"""The files that are served, by their suffix."""
FIRST = "index.html"
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    b"require-trusted-types-for 'script'; trusted-types lit-html"
)
"""What a browser lets the page do: use what is served here, and no code or style that is not in a file."""


class File(NamedTuple):
    """A file of the page; ``tag`` changes with its content."""

    body: bytes
    kind: bytes
    tag: bytes


class WebPages:
    """Answers with the files of a folder; all of them are read when this is made, and no others are served."""

    def __init__(self, folder: Path | None = None) -> None:
        self._files: dict[str, File] = {}
        root = Path(str(web.__file__)).parent if folder is None else folder
        for path in sorted(root.rglob("*")):
            kind = KINDS.get(path.suffix)
            if kind is not None:
                body = path.read_bytes()
                tag = b'"%s"' % hashlib.sha256(body).hexdigest()[:24].encode()
                self._files[path.relative_to(root).as_posix()] = File(body, kind, tag)

    def routes(self) -> list[Route]:
        """Return the routes. Who has not logged in needs the files, too: they have the form for it, and no data."""
        doc, answers = "A file of the administration page.", {200: ("The file.", "text/html")}
        paths = ("/", "/web/{file}", "/web/{folder}/{file}", "/web/{folder}/{below}/{file}")
        return [Route("GET", path, self.answer, Role.NONE, doc, answers) for path in paths]

    def answer(self, asked: Asked) -> Answer:
        """Answer with a file, or with 304 if the browser has it.

        :raises HTTPRefused: there is none.
        """
        names = asked.names
        parts = [names[each] for each in ("folder", "below", "file") if each in names]
        file = self._files.get("/".join(part.decode("utf-8", "replace") for part in parts) or FIRST)
        if file is None:
            raise HTTPRefused(404, "the page has no such file")
        headers = {b"Content-Security-Policy": POLICY, b"Cache-Control": b"no-cache", b"ETag": file.tag}
        if asked.headers.get("if-none-match") == file.tag:
            return Answer(304, b"", file.kind, headers)
        return Answer(200, file.body, file.kind, headers)
