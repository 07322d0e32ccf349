"""The page behind a reverse proxy that has a name of its own."""

from __future__ import annotations

from tests.web.browser_case import BrowserCase, kept
from tests.web.site import Prefix, Site


class ProxyTests(BrowserCase):
    """The page behind a reverse proxy with a name of its own, by plain HTTP, as in a company's own network."""

    host = "alaska.example"
    keeps_host = True

    def make_site(self) -> Site:
        """Return a program that knows the name of the proxy."""
        site: Site = kept("site for a proxy", lambda: Site(hosts="alaska.example"), "close")
        return site

    def test_login(self) -> None:
        """Whoever comes through the proxy logs in, changes something, and logs out."""
        proxy = Prefix(self.site, host=self.host, keeps_host=self.keeps_host)
        self.addCleanup(proxy.close)
        self.expected = ("api/v1/session", "401 (Unauthorized)")  # before the login
        self.browser.get(f"{proxy.url}#/services")
        self.until("document.querySelector('input[name=token]')")
        self.js("document.querySelector('input[name=token]').focus()")
        self.press("T-dan", "ENTER")
        self.shows("dan · operate", ".state")
        self.shows("default", "main table")
        self.click("Pause", "main")
        self.click("Pause", "dialog")
        self.shows("is paused", ".notices")
        self.shows("paused", "main table")
        self.click("Resume", "main")
        self.shows("is resumed", ".notices")
        self.click("Log out", ".state")
        self.until("document.querySelector('input[name=token]')")


class OtherHostProxyTests(ProxyTests):
    """The same with a proxy that asks with another Host, as nginx does by default."""

    keeps_host = False
