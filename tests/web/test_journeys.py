"""What people do with the page in a browser: look, log in, find, mend, resend, pause, cancel."""

from __future__ import annotations

from tests.web.browser_case import BrowserCase
from tests.web.site import Site


class JourneyTests(BrowserCase):
    """Whole journeys, each with messages of its own."""

    expected = ("api/v1/session", "api/v1/services/default")  # a wrong token, and a request that fails

    def test_login(self) -> None:
        """Without a token the page only shows; with a wrong one it says so; after the login it operates."""
        self.open("services")
        self.shows("Read-only")
        self.assertNotIn("Pause", self.text("main"))
        self.click("Log in", ".state")
        self.until("document.activeElement.name === 'token'")
        self.press("wrong", "ENTER")
        self.shows("not known", "dialog")
        self.js("document.activeElement.select()")
        self.press("T-dan", "ENTER")
        self.shows("dan · operate", ".state")
        self.shows("Pause", "main")
        self.click("Log out", ".state")
        self.shows("Read-only")
        self.until("!document.querySelector('main').innerText.includes('Pause')")

    def test_mended(self) -> None:
        """A failed request is found by its reason, looked at, changed and sent again; then it is gone."""
        self.site.request("fail", b'{"mended": false, "n": 9007199254740993}', wait=5)
        self.open("letters?reason=nil", user="dan")
        self.shows("reason: nil", ".head")
        newest = self.site.ask("GET", "/api/v1/letters?limit=1&sort=newest&subject=fail")["items"][0]["position"]
        self.js("document.querySelector('main tbody a').click()")
        self.shows("attempt to index a nil value", ".why")
        self.shows('"n": 9007199254740993', ".content")
        self.click("Hex")
        self.shows("7b 22 6d 65", ".content pre")
        self.click("Change and resend")
        self.until("document.querySelector('main input[name=subject]')")
        self.js("document.querySelector('main input[name=subject]').value = 'hello'")
        self.click("Resend it changed")
        self.shows("sent again, changed", ".notices")
        self.until("location.hash === '#/letters'")
        left = self.site.ask("GET", "/api/v1/letters?limit=1000&subject=fail")["items"]
        self.assertNotIn(newest, [each["position"] for each in left])

    def test_all_that_match(self) -> None:
        """What matches a filter is dropped as one, after its number was typed; nothing else is."""
        for number in range(4):
            self.site.request(f"gone{number % 2}", wait=5)
        self.open("letters?subject=gone1", user="dan")
        self.click("Drop matching 2")
        self.until("document.querySelector('dialog input')")
        self.assertTrue(self.js("document.querySelector('dialog .danger').disabled"))
        self.press("3")
        self.assertTrue(self.js("document.querySelector('dialog .danger').disabled"))
        self.press("BACKSPACE", "2", "ENTER")
        self.shows("2 dead letters dropped", ".notices")
        self.shows("No dead letter matches", "main")
        self.assertEqual(self.site.ask("GET", "/api/v1/letters?subject=gone0")["total"], 2)
        self.click("Show all")
        self.shows("gone0", "main")

    def test_sent(self) -> None:
        """A test request shows its answer, and one that fails shows why."""
        self.open("send?service=default&subject=hello", user="ann")
        self.js("document.querySelector('textarea').value = '{\"big\": 18446744073709551615}'")
        self.click("Send", "main")
        self.shows('Hello, {"big": 18446744073709551615}', ".content")
        self.js("document.querySelector('input[name=subject]').value = 'nothing here'")
        self.click("Send", "main")
        self.shows("No script serves the subject", "main .fault")

    def test_found(self) -> None:
        """A waiting request is found by its tracker, shown with its content, and cancelled."""
        self.site.ask("POST", "/api/v1/services/render/later", b"keep me", Alaska_Tracker="T/1")
        self.open(user="dan")
        self.js("document.querySelector('.top input[name=text]').focus()")
        self.press("T/1", "ENTER")
        self.shows("1 message found", "main")
        self.shows("It arrived from", "main")
        self.click("Look at it")
        self.shows("keep me", "dialog")
        self.press("ESCAPE")
        self.go("services/render")
        self.shows("later", "main table")
        rows = "[...document.querySelectorAll('main tbody tr')]"
        self.js(f"{rows}.find((row) => row.innerText.includes('later')).querySelector('.danger').click()")
        self.click("Cancel the message", "dialog")
        self.shows("cancelled", ".notices")
        self.until("!document.querySelector('main table').innerText.includes('later')")

    def test_found_when_it_has_ended(self) -> None:
        """A test request that has its answer is found by its tracker, with all that has happened to it."""
        self.open("send?service=default&subject=hello", user="ann")
        self.js("document.querySelector('textarea').value = 'time line'")
        self.click("Send", "main")
        self.shows("Hello, time line", ".content")
        self.js("document.querySelector('main [role=status] a').click()")
        self.shows("message", "main [role=status]")
        said = "succeeded, with the status 200"
        for words in ("It arrived from", "got it, attempt 1.", said, "Its answer has the position"):
            self.shows(words, "main .times")
        self.js("document.querySelector('.top input[name=text]').focus()")
        self.press("hello", "ENTER")
        self.shows(said, "main")

    def test_not_compiled(self) -> None:
        """A script that does not compile is shown as such, with the line, although no request has needed it."""
        self.open("scripts?match=unborn")
        self.shows("does not compile", "main table")
        self.shows("unborn.lua:1: unexpected symbol near", "main table")
        self.go("overview")
        self.shows("Scripts that do not compile: broken, unborn", "main")

    def test_filtered(self) -> None:
        """A list of messages is filtered by subject and sender, and what matches is cancelled as one."""
        for number in range(4):
            self.site.request(f"doomed {number % 2}", service="render")
        self.open("services/render?match=doomed+1", user="dan")
        self.shows("2 of 2", "main .pager")
        self.click("Cancel matching 2")
        self.shows("Only those whose subject has “doomed 1”.", "dialog")
        self.click("Cancel them", "dialog")
        self.shows("2 messages cancelled", ".notices")
        self.shows("Nothing matches “doomed 1”", "main")
        self.go("services/render?match=doomed&sender=nobody")
        self.shows("Nothing matches “doomed” and “nobody”", "main")
        self.click("Show everything")
        self.shows("doomed 0", "main table")

    def test_workers_sorted(self) -> None:
        """The list of workers can be sorted."""
        self.open("workers")
        self.click("Memory")
        self.until("document.querySelector('main th[aria-sort=descending]')?.innerText.includes('Memory')")
        self.assertIn("sort=memory", self.js("location.hash"))

    def test_stream(self) -> None:
        """A look into a stream shows its records as they come."""
        self.open("streams/news")
        self.click("Read", "main")
        self.shows("0 read", "main")
        self.until("true")
        for number in range(20):
            self.site.ask("POST", "/api/v1/streams/news?subject=sport", b"goal %d" % number)
        self.shows("goal 19", ".records")
        self.assertIn("from=now", self.js("location.hash"))
        self.click("Stop", "main")

    def test_addresses(self) -> None:
        """Filter, order and page are in the address: what is typed gets there, and what is there is shown."""
        self.open("mailboxes?sort=waiting", user="dan")
        self.assertIn("Waiting", self.text("th[aria-sort=descending]"))
        self.js("document.querySelector('main input[type=search]').focus()")
        self.press("repo")
        self.until("location.hash.includes('match=repo')")
        self.shows("reports", "main table")
        self.press("x")
        self.shows("Nothing matches “repox”", "main")
        self.assertEqual(self.js("document.activeElement.value"), "repox")

    def test_links(self) -> None:
        """Who opens an address, or goes back to it, sees what it says: a look into a stream, and choices of filters."""
        self.open("streams/linked?from=start&subjects=%5Egoal")
        self.until("document.querySelector('main form input').value === '^goal'")
        self.until("!document.querySelector('main').innerText.includes('Nobody reads it')")
        self.site.ask("POST", "/api/v1/streams/linked?subject=sport", b"not this")
        self.site.ask("POST", "/api/v1/streams/linked?subject=goal", b"2:1")
        self.shows("2:1", ".records")
        self.assertNotIn("not this", self.text(".records"))
        self.go("letters")
        choice = "document.querySelector('main .choose select')"
        self.go("letters?cause=not_found")
        self.js(f"[{choice}.value = 'failed', {choice}.dispatchEvent(new Event('change'))]")
        self.until("location.hash.includes('cause=failed')")
        self.browser.back()
        self.until("location.hash === '#/letters'")
        self.loaded()
        self.assertEqual(self.js(f"{choice}.value"), "")
        self.browser.forward()
        self.until(f"{choice}.value === 'failed'")

    def test_frozen(self) -> None:
        """What is frozen does not change until it goes on."""
        self.open("mailboxes")
        self.until("document.querySelector('.status').innerText === 'Live'")
        self.click("Freeze")
        self.shows("Frozen")
        before = self.text("main")
        self.site.ask("POST", "/api/v1/mailboxes/frozen?subject=x", b"x")
        self.until("new Promise((done) => setTimeout(() => done(true), 2500))")
        self.assertEqual(self.text("main"), before)
        self.click("Go on")
        self.shows("frozen", "main table")


class ClosedTests(BrowserCase):
    """An endpoint where nobody sees anything without a login, of a program that has done nothing yet."""

    expected = ("api/v1/",)

    def make_site(self) -> Site:
        """Return the program."""
        site = Site(anonymous=False, scripts={})
        self.addCleanup(site.close)
        return site

    def test_login_page(self) -> None:
        """The page is a form; after it, every view says what is missing, and most say what to type."""
        self.open()
        self.shows("Log in", "h1")
        self.js("document.querySelector('input[name=token]').focus()")
        self.press("T-ann", "ENTER")
        self.shows("Overview", "main h1")
        self.until("document.querySelector('.status').innerText === 'Live'")
        for view, words in (
            ("letters", "No dead letters."),
            ("mailboxes", "No mail waits."),
            ("streams", "No stream yet."),
            ("scripts", "No script has run yet."),
            ("scheduled", "No schedule."),
            ("running", "Nothing runs."),
            ("streams/none", "Nobody reads it."),
            ("services/none", "Nothing waits for this service"),
        ):
            self.go(view)
            self.shows(words, "main")
            self.assertLessEqual(self.js("document.documentElement.scrollWidth"), 1280)
