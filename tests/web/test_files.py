"""The files of the administration page: those of other projects, what each may contain, and how they are served."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from alaska.admin.http.routes import Route
from alaska.admin.http.web import KINDS, POLICY, WebPages
from tests import PROJECT
from tests.admin.http_case import HTTPCase
from tests.web.browser_case import AXE

WEB = PROJECT / "alaska" / "web"
VENDOR = WEB / "vendor"
MOST_LINES = 400
ROW = r"^\| `([^`]+)` \| [^|]+ \| [0-9.]+ \| [^|]+ \| `([0-9a-f]{64})` \|$"
"""A row of the table of files: the name and the hash."""


class FileTests(HTTPCase):
    """The files."""

    def setUp(self) -> None:
        super().setUp()
        self.own = sorted(each for each in WEB.rglob("*") if each.suffix in KINDS and VENDOR not in each.parents)

    def more_routes(self) -> Iterable[Route]:
        """Serve the page."""
        return WebPages().routes()

    def test_unmodified(self) -> None:
        """Each file of another project has the hash that is written down, and there are no others."""
        for folder in (VENDOR, AXE.parent):
            listed = re.findall(ROW, (folder / "VENDOR.md").read_text(encoding="utf-8"), re.MULTILINE)
            files = [each for each in folder.rglob("*") if each.is_file() and each.name != "VENDOR.md"]
            found = {
                each.relative_to(folder).as_posix(): hashlib.sha256(each.read_bytes()).hexdigest() for each in files
            }
            self.assertEqual(dict(listed), found)
            self.assertTrue(found)

    def test_small(self) -> None:
        """No file of ours has more than 400 lines."""
        lines = {each.name: len(each.read_text(encoding="utf-8").splitlines()) for each in self.own}
        self.assertEqual({name: count for name, count in lines.items() if count > MOST_LINES}, {})
        self.assertIn("main.js", lines)

    def test_relative(self) -> None:
        """No file of ours has an address that begins with a slash or a host, so that the page works below a prefix."""
        for each in self.own:
            text = each.read_text(encoding="utf-8")
            found = re.findall(r"""(?:src|href|from|import|fetch\(|EventSource\()\s*=?\s*["'`](/[^"'`]*)""", text)
            found += [one for one in re.findall(r"https?://[^\s\"'`]+", text) if "w3.org" not in one]
            self.assertEqual(found, [], each.name)

    def test_no_inline(self) -> None:
        """No file of ours has code or styles in HTML, which the policy forbids."""
        for each in self.own:
            text = each.read_text(encoding="utf-8")
            self.assertEqual(re.findall(r"\sstyle=|\son[a-z]+=[\"']|innerHTML|\beval\(|unsafeHTML|<style", text), [])
        self.assertNotIn(b"unsafe", POLICY)

    def test_served(self) -> None:
        """Each file is served with its type and the policy to anyone, and not sent again to who has it."""
        for each in self.own:
            path = "/" if each.name == "index.html" else f"/web/{each.relative_to(WEB).as_posix()}"
            answer = self.ask("GET", path)
            self.assertEqual((answer.status, answer.body), (200, each.read_bytes()))
            self.assertEqual(answer.headers["content-type"], KINDS[each.suffix].decode())
            self.assertEqual(answer.headers["content-security-policy"], POLICY.decode())
            again = self.ask("GET", path, f"If-None-Match: {answer.headers['etag']}")
            self.assertEqual((again.status, again.body), (304, b""))

    def test_imports(self) -> None:
        """What a module imports exists, also beside it in the folder."""
        for each in self.own:
            for name in re.findall(
                r"""^(?:import|export|} from).*["'](\.[^"']+)["'];?$""", each.read_text(), re.MULTILINE
            ):
                self.assertTrue((each.parent / name).is_file(), f"{each.name}: {name}")

    def test_used(self) -> None:
        """What a module imports by name is used in it."""
        for each in self.own:
            text = each.read_text(encoding="utf-8")
            for names in re.findall(r"^import \{([^}]*)\} from", text, re.MULTILINE):
                for name in filter(None, map(str.strip, names.split(","))):
                    self.assertGreater(len(re.findall(rf"\b{re.escape(name)}\b", text)), 1, f"{each.name}: {name}")

    def test_no_other_files(self) -> None:
        """Nothing else is served: no other kind of file, and nothing outside of the folder."""
        for path in ("/web/__init__.py", "/web/vendor/VENDOR.md", "/web/..%2F..%2Ferrors.py", "/web/%2Fetc/passwd"):
            self.assertEqual(self.ask("GET", path).status, 404, path)


class ClosedFileTests(FileTests):
    """An endpoint that needs a login for everything else."""

    is_open = False
