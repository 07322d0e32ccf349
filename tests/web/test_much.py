"""The page with much to show, and with names that want to do harm."""

from __future__ import annotations

import json
import subprocess
import sys
from urllib.parse import quote_from_bytes

from tests import PROJECT
from tests.web.browser_case import AXE, CUT, BrowserCase, kept
from tests.web.site import Site

COUNT = 10_000
BOXES = 9_990
"""A broker has at most 10 000 queues by default."""
HOSTILE = (
    b"<img src=x onerror=window.harmed=1>",
    b"\"'><script>window.harmed=1</script>",
    b"${window.harmed=1}{{harmed}}<!--",
    b"line\nbreak\ttab \x1b[31m\x07\x00\x7f",
    "\u202egnp.exe \u200b\U0001f4a9".encode(),
    b"not UTF-8 \xff\xfe\x80",
    b"a/b?c=d#e%2Fs%00",
    b"..",
    b"W" * 255,
)
SHOWN = (
    "<img src=x onerror", "</script>", "${window", "not UTF-8 \\\\xff", "WWWWWWWW",
    "line\\\\nbreak\\\\ttab \\\\x1b", "\\\\u202egnp.exe",
)  # fmt: skip
"""How parts of them are shown, as literals of JavaScript."""
VIEWS = ("mailboxes", "services", "streams", "letters", "scheduled", "scripts", "running", "clients", "overview")
SCRIPTS = {"harm": "error('<img src=x onerror=window.harmed=1> ' .. string.rep('W', 300))"}


class MuchTests(BrowserCase):
    """As many mailboxes as there may be, and 10 000 requests."""

    def make_site(self) -> Site:
        """Return a program that has them."""

        def make() -> Site:
            site = Site()
            program = [
                sys.executable,
                str(PROJECT / "tests" / "web" / "fill.py"),
                site.endpoint,
                str(BOXES),
                str(COUNT),
            ]
            subprocess.run(program, check=True, timeout=60, env={"PYTHONPATH": str(PROJECT)})
            return site

        site: Site = kept("much", make, "close")
        return site

    def test_pages(self) -> None:
        """Only a page of them is asked for and shown, with their number; the next page goes on where it ends."""
        self.open("mailboxes", user="dan")
        self.shows("100 of 9,990", ".pager")
        self.assertEqual(self.js("document.querySelectorAll('main tbody tr').length"), 100)
        self.click("Next page")
        self.shows("box 00100", "main tbody")
        self.assertNotIn("box 00099", self.text("main tbody"))
        self.click("500")
        self.until("document.querySelectorAll('main tbody tr').length === 500")
        self.go("mailboxes?match=box%200998")
        self.shows("10 of 10", ".pager")

    def test_requests(self) -> None:
        """All requests of a service are cancelled as one, while it is shown; nothing else is."""
        self.open("services/many", user="dan")
        self.shows("100 of 10,000", ".pager")
        self.go("services/many?match=job%2000042")
        self.click("Cancel matching 1")
        self.click("Cancel them", "dialog")
        self.shows("1 message cancelled", ".notices")
        self.go("services/many")
        self.click("Cancel all 9,999")
        self.until("document.activeElement.closest('dialog') && document.activeElement.tagName === 'INPUT'")
        self.press("9999", "ENTER")
        self.shows("9,999 messages cancelled", ".notices")
        self.shows("Nothing waits", "main")
        self.assertEqual(self.site.ask("GET", "/api/v1/mailboxes?limit=1&match=box")["total"], BOXES)


class HostileTests(BrowserCase):
    """Names and content that want to do harm, or look odd."""

    def make_site(self) -> Site:
        """Return a program with such names everywhere."""

        def make() -> Site:
            site = Site(scripts=SCRIPTS)
            site.request("harm", b"x", wait=5)
            schedule = {"name": "x", "cron": "0 3 * * *", "service": "</script>", "subject": "\u202egnp.exe"}
            site.ask("POST", "/api/v1/schedules", json.dumps(schedule).encode())
            for name in HOSTILE:
                path = quote_from_bytes(name, safe="").replace(".", "%2E")
                site.ask("POST", f"/api/v1/mailboxes/{path}?subject={path}", name)
                site.ask("POST", f"/api/v1/services/{path}/{path}", name, Alaska_Header_x="%3Cimg%20src=x%3E")
                site.request_octets("default", name)
                site.ask("POST", f"/api/v1/streams/{path}?subject={path}", name)
            return site

        site: Site = kept("hostile", make, "close")
        return site

    def test_shown(self) -> None:
        """Such names are shown as text, escaped where they are no text, and fit every window."""
        self.open(user="ann")
        for view in VIEWS:
            self.go(view)
            for width in (400, 900, 1280):
                self.size(width)
                self.assertLessEqual(self.js("document.documentElement.scrollWidth"), width, view)
                self.assertEqual(self.js(CUT), 0, f"{view}, {width}")
        self.go("mailboxes")
        for words in SHOWN:
            self.until(f"document.querySelector('main').innerText.includes('{words}')")
        self.browser.execute_script(AXE.read_text(encoding="utf-8"))
        self.assertEqual(self.js("axe.run().then((found) => found.violations.map((each) => each.id))"), [])
        self.unharmed()

    def test_opened(self) -> None:
        """Each can be opened by its link, and its content looked at."""
        self.open("mailboxes", user="ann")
        links = self.js("[...document.querySelectorAll('main tbody a')].map((each) => each.hash.slice(2))")
        self.assertEqual(len(links), len(HOSTILE) + 1)  # and that for errors of scripts
        for place in links:
            self.go(place)
            self.until("document.querySelector('main table')", place)
            self.js("document.querySelector('main table button.name').click()")
            self.until("document.querySelector('dialog .content')", place)
            self.press("ESCAPE")
        self.go("letters?subject=harm")
        self.click("harm", "main")
        self.shows("stack traceback", "main")
        self.until("document.querySelector('main .content')")
        self.go("scripts")
        self.click("harm", "main")
        self.shows("<img src=x onerror", "main pre")
        self.go("streams/" + quote_from_bytes(HOSTILE[0], safe=""))
        self.click("Read", "main")
        self.until("!document.querySelector('main').innerText.includes('Nobody reads it')")
        path = quote_from_bytes(HOSTILE[0], safe="")
        self.site.ask("POST", f"/api/v1/streams/{path}?subject={path}", HOSTILE[0])
        self.shows("<img src=x onerror", ".records")
        self.unharmed()

    def unharmed(self) -> None:
        """Check that nothing of it was run or became an element."""
        self.assertIsNone(self.js("window.harmed"))
        self.assertEqual(self.js("document.querySelectorAll('main :is(img, script, iframe)').length"), 0)
