"""How the page gets what is new: from one stream for all tabs, by asking, behind proxies, after a restart."""

from __future__ import annotations

import json

from tests.web.browser_case import BrowserCase
from tests.web.site import Prefix, Site

NOTED = (
    "void (window.noted = [], new MutationObserver(() => noted.push(document.querySelector('.status').innerText))"
    ".observe(document.querySelector('.status'), {subtree: true, childList: true, characterData: true}))"
)
"""Keeps all that the status has said."""
AHEAD = (
    "void (window.ahead = (window.ahead ?? 0) + arguments[0] * 1000, window.clock ??= Date.now.bind(Date),"
    "Date.now = () => window.clock() + window.ahead)"
)
"""Lets the clock of the page go forward."""


class LiveTests(BrowserCase):
    """How the page gets what is new."""

    def test_one_stream(self) -> None:
        """Of the tabs of a browser one has the connection, and the next one has it when that is closed."""
        self.open()
        first = self.browser.current_window_handle
        self.until("document.querySelector('.status').innerText === 'Live'")
        self.browser.switch_to.new_window("tab")
        self.browser.get(self.site.url)
        self.until("document.querySelector('.status')?.innerText === 'Live'")
        locks = "navigator.locks.query().then((all) => [all.held.length, all.pending.length])"
        # The first tab is hidden now, so it has given its turn up.
        self.until(f"{locks}.then((found) => found[0] === 1 && found[1] === 0)")
        self.browser.close()
        self.browser.switch_to.window(first)
        self.until(f"{locks}.then((found) => found[0] === 1 && found[1] === 0)")
        self.site.ask("POST", "/api/v1/mailboxes/one-left?subject=x", b"x")
        self.go("mailboxes")
        self.shows("one-left", "main table")

    def test_polling(self) -> None:
        """Without Web Locks, as on plain HTTP from another machine, it asks instead."""
        script = self.browser.execute_cdp_cmd(
            "Page.addScriptToEvaluateOnNewDocument",
            {"source": "Object.defineProperty(Navigator.prototype, 'locks', {get: () => undefined})"},
        )
        self.addCleanup(self.browser.execute_cdp_cmd, "Page.removeScriptToEvaluateOnNewDocument", script)
        self.open("mailboxes")
        self.shows("Polling", ".status")
        self.site.ask("POST", "/api/v1/mailboxes/polled?subject=x", b"x")
        self.shows("polled", "main table")

    def test_prefix(self) -> None:
        """Behind a proxy, below a prefix, it works as well, live."""
        proxy = Prefix(self.site)
        self.addCleanup(proxy.close)
        self.open("services", url=proxy.url)
        self.shows("default", "main table")
        self.until("document.querySelector('.status').innerText === 'Live'")
        self.go("overview")
        self.until("document.querySelector('alaska-chart canvas')")
        names = self.js("performance.getEntriesByType('resource').map((each) => new URL(each.name).pathname)")
        self.assertEqual([each for each in names if not each.startswith(Prefix.PATH)], [])

    def test_numbers(self) -> None:
        """Whole numbers that a double cannot hold are kept with all digits, within and outside of texts."""
        self.open()
        text = r'{"a": 9007199254740993, "b": -9223372036854775808, "c": 1.5, "d": "x \" 9007199254740993", "e": [1e3]}'
        found = self.imported("JSON.stringify(m.parse(arguments[0]))", "json.js", text)
        self.assertEqual(json.loads(found), {"a": "9007199254740993", "b": "-9223372036854775808", "c": 1.5,
                                             "d": 'x " 9007199254740993', "e": [1000]})  # fmt: skip
        self.assertEqual(self.imported("m.count('9007199254740993')", "format.js"), "9,007,199,254,740,993")

    def test_buffered(self) -> None:
        """Behind a proxy that holds events back, it asks instead, and does not say that there is no answer."""
        proxy = Prefix(self.site, held="api/v1/live")
        self.addCleanup(proxy.close)
        self.open("mailboxes", url=proxy.url)
        self.js(NOTED)
        self.later(9)
        self.shows("Polling", ".status")
        self.site.ask("POST", "/api/v1/mailboxes/held?subject=x", b"x")
        self.shows("held", "main table")
        self.later(9)
        self.site.ask("POST", "/api/v1/mailboxes/held-again?subject=x", b"x")
        self.shows("held-again", "main table")
        self.assertNotIn("No answer", self.js("window.noted"))

    def test_hidden(self) -> None:
        """A tab that is hidden asks for nothing, and goes on when it is shown again."""
        self.open("mailboxes")
        self.until("document.querySelector('.status').innerText === 'Live'")
        self.js("Object.defineProperty(document, 'hidden', {get: () => window.isHidden, configurable: true})")
        self.js("[window.isHidden = true, document.dispatchEvent(new Event('visibilitychange'))]")
        self.until("navigator.locks.query().then((all) => all.held.length === 0)")
        self.site.ask("POST", "/api/v1/mailboxes/hidden?subject=x", b"x")
        self.js("performance.clearResourceTimings()")
        self.until("new Promise((done) => setTimeout(() => done(true), 2500))")
        self.assertEqual(self.js("performance.getEntriesByType('resource').map((each) => each.name)"), [])
        self.js("[window.isHidden = false, document.dispatchEvent(new Event('visibilitychange'))]")
        self.shows("hidden", "main table")

    def later(self, seconds: int) -> None:
        """Let the clock of the page go forward."""
        self.js(AHEAD, seconds)


class RestartTests(BrowserCase):
    """The program ends and starts again while the page is open."""

    expected = ("net::ERR", "api/v1/", "status of 401")

    def make_site(self) -> Site:
        """Return a program of its own."""
        site = Site(scripts={})
        self.addCleanup(site.close)
        return site

    def test_restarted(self) -> None:
        """The page says that there is no answer, then goes on by itself, and says that the login is gone."""
        self.open("services", user="dan")
        self.until("document.querySelector('.status').innerText === 'Live'")
        self.shows("Pause", "main")
        self.site.end()
        self.shows("No answer", ".status")
        self.site.start()
        self.until("['Live', 'Polling'].includes(document.querySelector('.status').innerText)")
        self.site.ask("POST", "/api/v1/services/new/x")
        self.shows("new", "main table")
        self.click("Pause", "main")
        self.click("Pause", "dialog")
        self.shows("The session has ended", ".notices")
        self.until("!document.querySelector('main').innerText.includes('Pause')")
