"""The page with the keyboard alone: what has the focus, whether it can be seen, and where it is after each step."""

from __future__ import annotations

from tests.web.browser_case import VIEWS, BrowserCase

STOPS = """(() => {
  const found = [];
  for (const each of document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")) {
    if (each.disabled || !each.checkVisibility({checkVisibilityCSS: true})) continue;
    each.focus({focusVisible: true, preventScroll: true});
    if (document.activeElement !== each) continue;
    const box = each.getBoundingClientRect();
    const style = getComputedStyle(each);
    const isMarked = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    const isSeen = box.width > 4 && box.height > 8 && box.left >= 0 && box.right <= innerWidth;
    if (!isMarked || !isSeen) found.push([each.outerHTML.slice(0, 120), isMarked, isSeen]);
  }
  document.activeElement.blur();
  return found;
})()"""
"""What gets the focus without being seen, or without a mark."""
SMALLEST = """[...document.querySelectorAll("main button, main .button, main input, main select, nav a, .top button")]
  .filter((each) => each.checkVisibility() && !each.closest(".lines, td, p, dd") && each.type !== "checkbox")
  .map((each) => [each.getBoundingClientRect().height, each.innerText || each.outerHTML.slice(0, 60)])
  .filter(([height]) => height > 0 && height < 28)"""
"""What is hard to hit."""


class FocusTests(BrowserCase):
    """What has the focus."""

    def test_seen(self) -> None:
        """Whatever gets the focus can be seen, and is marked, in each view, on wide and narrow windows."""
        self.open(user="ann")
        for view in VIEWS:
            self.go(view)
            for width in (400, 1280):
                self.size(width)
                self.assertEqual(self.js(STOPS), [], f"{view}, {width}")
                self.assertEqual(self.js(SMALLEST), [], f"{view}, {width}")

    def test_kept(self) -> None:
        """What is selected, typed, or has the focus stays so when a list is drawn again with other rows."""
        self.open("mailboxes", user="dan")
        self.shows("reports", "main table")
        link = "[...document.querySelectorAll('main tbody a')].find((each) => each.innerText === 'reports')"
        self.js(f"[{link}.focus(), getSelection().selectAllChildren({link})]")
        self.site.ask("POST", "/api/v1/mailboxes/a-new-one?subject=x", b"x")
        self.shows("a-new-one", "main table")
        self.assertEqual(self.js("[document.activeElement.innerText, getSelection().toString()]"), ["reports"] * 2)

    def test_moved(self) -> None:
        """What has the focus, or is selected, stays so when its row changes its place."""
        for name, count in (("moved-a", 5), ("moved-b", 6)):
            for _ in range(count):
                self.site.ask("POST", f"/api/v1/mailboxes/{name}?subject=x", b"x")
        self.open("mailboxes?match=moved&sort=waiting", user="dan")
        first = "document.querySelector('main tbody a')"
        self.until(f"{first}?.innerText === 'moved-b'")
        self.js(f"[{first}.focus(), getSelection().selectAllChildren({first})]")
        for _ in range(3):
            self.site.ask("POST", "/api/v1/mailboxes/moved-a?subject=x", b"x")
        self.until(f"{first}?.innerText === 'moved-a'")
        self.assertEqual(self.js("[document.activeElement.innerText, getSelection().toString()]"), ["moved-b"] * 2)

    def test_back(self) -> None:
        """Who goes back while a dialog is open has neither the dialog nor the view any more."""
        self.open("mailboxes", user="dan")
        self.go("services")
        self.shows("default", "main table")
        self.click("Pause", "main")
        self.until("document.querySelector('dialog')?.open")
        self.browser.back()
        self.until("!document.querySelector('dialog')")
        self.shows("Mailboxes", "main h1")
        self.until("document.activeElement.innerText === 'Mailboxes'")


class KeyboardTests(BrowserCase):
    """Whole journeys without a mouse."""

    expected = ("api/v1/session",)

    def test_paused(self) -> None:
        """A service is paused and resumed, from the top of the page on."""
        self.open(user="dan")
        self.js("document.activeElement.blur()")
        self.press("TAB")
        self.assertEqual(self.js("document.activeElement.innerText"), "Skip to content")
        self.press("ENTER")
        self.assertEqual(self.js("document.activeElement.id"), "main")
        self.tab_to("Services")
        self.press("ENTER")
        self.until("document.activeElement.tagName === 'H1' && document.activeElement.innerText === 'Services'")
        self.tab_to("Pause")
        self.press("ENTER")
        self.until("document.querySelector('dialog')?.open")
        self.assertEqual(self.js("document.activeElement.innerText"), "Cancel")
        self.press("ESCAPE")
        self.until("!document.querySelector('dialog')")
        self.assertEqual(self.js("document.activeElement.innerText"), "Pause")
        self.press("ENTER", "TAB", "ENTER")
        self.shows("is paused", ".notices")
        self.shows("paused", "main table")
        self.tab_to("Resume")
        self.press("ENTER")
        self.shows("is resumed", ".notices")
        self.until("!document.querySelector('main table').innerText.includes('paused')")

    def test_mended(self) -> None:
        """A failed request is opened, its stack trace read, its subject changed; it is sent again."""
        self.site.request("fail", b"by keyboard", wait=5)
        self.open("letters?subject=fail&cause=failed", user="dan")
        self.js("document.querySelector('main h1').focus()")
        self.tab_to("fail")
        self.press("ENTER")
        self.until("document.activeElement.tagName === 'H1' && document.activeElement.innerText === 'fail'")
        self.shows("stack traceback", "main")
        self.tab_to("Change and resend")
        self.press("ENTER")
        self.until("document.querySelector('main input[name=subject]')")
        self.until("document.activeElement.innerText === 'Do not change it'")
        self.tab_to_field("subject")
        self.js("document.activeElement.select()")
        self.press("hello", "ENTER")
        self.shows("sent again, changed", ".notices")
        self.until("document.activeElement.innerText === 'Dead letters'")

    def test_dropped(self) -> None:
        """Letters are dropped one after the other: the focus goes to the next; then all the others, as one."""
        for number in range(4):
            self.site.request("dropped", b"%d" % number, wait=5)
        self.open("letters?subject=dropped", user="dan")
        self.js("document.querySelector('main h1').focus()")
        self.tab_to("Drop")
        self.press("ENTER")
        self.until("document.querySelector('dialog')?.open")
        self.press("TAB", "ENTER")
        self.until("document.querySelectorAll('main tbody tr').length === 3")
        self.assertEqual(self.js("document.activeElement.innerText"), "Drop")
        self.assertEqual(self.js("document.activeElement.closest('tr').rowIndex"), 1)
        self.press("ENTER")
        self.until("document.querySelector('dialog')?.open")
        self.press("ESCAPE")
        self.js("document.querySelector('main h1').focus()")
        self.tab_to("Drop matching 3")
        self.press("ENTER")
        self.until("document.activeElement.tagName === 'INPUT'")
        self.press("3", "ENTER")
        self.shows("3 dead letters dropped", ".notices")
        self.until("!['BODY', 'HTML'].includes(document.activeElement.tagName)")

    def test_cancelled(self) -> None:
        """A running request is cancelled."""
        self.site.request("slow", b"keyboard")
        self.open("running", user="dan")
        self.js("document.querySelector('main h1').focus()")
        self.shows("slow", "main table")
        before = self.js("document.querySelectorAll('main tbody tr').length")
        self.tab_to("Cancel")
        self.press("ENTER")
        self.until("document.querySelector('dialog')?.open")
        self.press("TAB", "ENTER")
        self.shows("It is cancelled", ".notices")
        self.until(f"document.querySelectorAll('main tbody tr').length < {before}")

    def test_sent(self) -> None:
        """A test request is sent, and its answer is told to a screen reader."""
        self.open("send?service=default&subject=hello", user="ann")
        self.js("document.querySelector('main h1').focus()")
        self.tab_to_field("content")
        self.press("keys")
        self.tab_to("Send")
        self.press("ENTER")
        self.shows("Hello, keys", "main [role=status]")

    def test_looked_at(self) -> None:
        """The span, the order, the filter and the page are chosen, and all is frozen; the address has each choice."""
        self.open(user="dan")
        self.js("document.querySelector('main h1').focus()")
        self.tab_to("1 h")
        self.press("ENTER")
        self.until("location.hash.includes('span=3600')")
        self.assertEqual(self.js("document.activeElement.innerText"), "1 h")
        self.go("mailboxes?limit=1")
        self.tab_to("Waiting")
        self.press("ENTER")
        self.until("location.hash.includes('sort=waiting')")
        self.assertIn("Waiting", self.js("document.activeElement.innerText"))
        self.tab_to("Next page")
        self.press("ENTER")
        self.until("location.hash.includes('after=')")
        self.shows("First page", ".pager")
        self.browser.back()
        self.until("!location.hash.includes('after=')")
        self.js("document.querySelector('.state button').focus()")
        self.press("ENTER")
        self.shows("Frozen", ".status")
        self.press("ENTER")
        self.until("document.querySelector('.status').innerText === 'Live'")

    def test_login(self) -> None:
        """Who logs in and out does not lose the focus."""
        self.open("services")
        self.js("document.querySelector('.state button').focus()")
        self.tab_to("Log in")
        self.press("ENTER")
        self.until("document.activeElement.name === 'token'")
        self.press("T-dan", "ENTER")
        self.shows("dan · operate", ".state")
        self.until("document.activeElement !== document.body")
        self.js("document.querySelector('.state button').focus()")
        self.tab_to("Log out")
        self.press("ENTER")
        self.shows("Read-only")
        self.until("document.activeElement !== document.body")

    def tab_to(self, text: str) -> None:
        """Press Tab, from the beginning if need be, until something with a text has the focus."""
        self.tab_until("(document.activeElement.innerText ?? '').trim().split('\\n')[0] === arguments[0]", text)

    def tab_to_field(self, name: str) -> None:
        """Press Tab until a field has the focus."""
        self.tab_until("document.activeElement.name === arguments[0]", name)

    def tab_until(self, condition: str, what: str) -> None:
        """Press Tab until a condition holds."""
        for _ in range(120):
            if self.js(condition, what):
                return
            self.press("TAB")
        self.fail(f"nothing with {what!r} gets the focus")
