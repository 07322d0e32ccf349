"""Tests of the page in a real Chromium. One browser and one program are for all of them, since both start slowly."""

from __future__ import annotations

import atexit
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.web.site import Site

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
AXE = Path(__file__).with_name("axe") / "axe.min.js"
CUT = (
    "[...document.querySelectorAll('.scroll, .block, .tile, dialog')]"
    ".filter((each) => each.scrollWidth > each.clientWidth + 1).length"
)
"""How many frames cut something off at their right."""
SECONDS = 30.0
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--force-device-scale-factor=1",
    "--no-first-run", "--disable-background-networking", "--host-resolver-rules=MAP *.example 127.0.0.1",
)  # fmt: skip
VIEWS = (
    "overview", "services", "services/default", "services/render", "running", "scheduled", "letters", "mailboxes",
    "mailboxes/reports", "streams", "streams/news", "workers", "clients", "scripts", "scripts/fail", "search?text=fail",
    "search?text=hello", "send", "store", "configuration",
)  # fmt: skip
_kept: dict[str, Any] = {}


def start_browser() -> Any:
    """Return a new browser.

    :raises SkipTest: there is none on this machine.
    """
    path, driver = next(filter(None, map(shutil.which, BROWSERS)), None), shutil.which("chromedriver")
    if path is None or driver is None:
        raise SkipTest("there is no Chromium with its driver (Debian packages chromium and chromium-driver)")
    try:
        from selenium import webdriver  # noqa: PLC0415  # an extra
        from selenium.webdriver.chrome.service import Service  # noqa: PLC0415
    except ImportError:
        raise SkipTest("there is no selenium (pip install '.[dev]')") from None
    options = webdriver.ChromeOptions()
    options.binary_location = path
    for option in OPTIONS:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options, Service(driver))


def kept(name: str, make: Callable[[], Any], close: str) -> Any:
    """Return what was made at the first call with this name; it is closed when the tests end."""
    if name not in _kept:
        _kept[name] = make()
        atexit.register(getattr(_kept[name], close))
    return _kept[name]


class BrowserCase(SynchronousTestCase):
    """The page in a browser, of a program that has something for each view."""

    expected: tuple[str, ...] = ()
    """Parts of the errors that the browser may log."""

    def setUp(self) -> None:
        self.browser = kept("browser", start_browser, "quit")
        self.site = self.make_site()
        self.browser.get_log("browser")
        self.size(1280)
        self.browser.get(f"{self.site.url}web/icon.svg")
        self.browser.delete_all_cookies()
        self.browser.execute_script("localStorage.clear()")
        self.addCleanup(self.check_log)

    def make_site(self) -> Site:
        """Return the program."""

        def make() -> Site:
            site = Site()
            site.fill()
            return site

        site: Site = kept("site", make, "close")
        return site

    def check_log(self) -> None:
        """Check that the browser has nothing to complain about, such as what the policy forbids."""
        self.browser.get("about:blank")
        severe = [each["message"] for each in self.browser.get_log("browser") if each["level"] == "SEVERE"]
        # An embedded broker without a file has no configuration.
        expected = ("favicon.ico", "api/v1/configuration", *self.expected)
        self.assertEqual([each for each in severe if not any(part in each for part in expected)], [])

    # Moving about

    def size(self, width: int, height: int = 900) -> None:
        """Set the size of the window."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def open(self, view: str = "overview", user: str = "", url: str = "") -> None:
        """Open the page, as a user who has logged in."""
        self.browser.get(f"{url or self.site.url}web/icon.svg")
        if user:
            self.browser.execute_async_script(
                "const [token, done] = arguments; fetch('../api/v1/session', {method: 'POST', headers: "
                "{'Content-Type': 'application/json'}, body: JSON.stringify({token})}).then(() => done());",
                f"T-{user}",
            )
        self.browser.get(f"{url or self.site.url}#/{view}")
        self.loaded()

    def go(self, view: str) -> None:
        """Go to another view without loading the page again."""
        # Two frames later, the view has begun to load.
        self.browser.execute_async_script(
            "const [view, done] = arguments; location.hash = `#/${view}`;"
            "requestAnimationFrame(() => requestAnimationFrame(done));",
            view,
        )
        self.loaded()

    def loaded(self) -> None:
        """Wait until the view is shown."""
        self.until(
            "document.querySelector('main[aria-busy=false] h1, .lonely h1') && !document.querySelector('.loading')"
        )

    def until(self, condition: str, what: str = "") -> Any:
        """Wait until a condition in JavaScript holds, and return its value."""
        end = time.monotonic() + SECONDS
        while True:
            found = self.js(condition)
            if found:
                return found
            if time.monotonic() > end:
                self.fail(f"{what or condition}\n{self.text()}")
            time.sleep(0.05)

    def js(self, expression: str, *arguments: Any) -> Any:
        """Return the value of an expression in the page."""
        return self.browser.execute_script(f"return {expression}", *arguments)

    def imported(self, expression: str, module: str, *arguments: Any) -> Any:
        """Return the value of an expression with the names of a module of the page in ``m``."""
        return self.browser.execute_async_script(
            f"const done = arguments[arguments.length - 1]; import(new URL('web/{module}', document.baseURI))"
            f".then((m) => done({expression}), (error) => done(String(error)));",
            *arguments,
        )

    # Looking and doing

    def text(self, selector: str = "body") -> str:
        """Return the text that is shown."""
        return str(self.js("document.querySelector(arguments[0])?.innerText ?? ''", selector))

    def shows(self, words: str, selector: str = "body") -> None:
        """Wait until these words are shown."""
        self.until(f"(document.querySelector({selector!r})?.innerText ?? '').includes({words!r})", f"no {words!r}")

    def press(self, *keys: str) -> None:
        """Press keys, by the names that selenium has for them, or type a text."""
        from selenium.webdriver.common.action_chains import ActionChains  # noqa: PLC0415  # an extra
        from selenium.webdriver.common.keys import Keys  # noqa: PLC0415

        for key in keys:
            ActionChains(self.browser, duration=0).send_keys(getattr(Keys, key, key)).perform()

    def click(self, text: str, within: str = "body", *, starts: bool = False) -> None:
        """Click the button or link with a text, or with one that starts so."""
        find = (
            "[...document.querySelectorAll(arguments[0] + ' :is(button, a, summary)')]"
            f".find((each) => each.innerText.trim(){'.startsWith(arguments[1])' if starts else ' === arguments[1]'})"
        )
        end = time.monotonic() + SECONDS
        while not self.js(f"{find} !== undefined", within, text):
            if time.monotonic() > end:
                self.fail(f"there is no {text!r} to click\n{self.text()}")
            time.sleep(0.05)
        self.js(f"{find}.click()", within, text)
