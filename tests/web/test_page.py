"""The page in a browser: each view, what can be done in it, and what may be in names."""

from __future__ import annotations

from tests.web.browser_case import AXE, CUT, VIEWS, BrowserCase

WIDTHS = (400, 900, 1280, 2560)
OF_STYLE = (
    "color-contrast", "link-in-text-block", "scrollable-region-focusable", "target-size", "aria-required-children",
    "aria-required-parent", "td-headers-attr", "aria-hidden-focus",
)  # fmt: skip
"""The rules of axe-core whose findings depend on colours and widths."""
BUTTONS = (
    "[...document.querySelectorAll('main :is(button:not(.name), a.button)')]"
    ".map((each) => each.innerText.replace(/ [0-9,]+$/, ''))"
)
"""The texts of the buttons, without numbers."""
OPERATED = {
    "Pause", "Pause all services", "Purge", "Cancel", "Cancel all", "Resend", "Resend all", "Drop", "Drop all",
    "Run now", "Close", "Send", "Send a request",
}  # fmt: skip
"""What the role operate may do, among others."""


class ViewTests(BrowserCase):
    """Each view."""

    def test_each(self) -> None:
        """Each view has a title, fits any window, and axe-core finds nothing that hinders anyone, light and dark."""
        self.open(user="ann")
        self.browser.execute_script(AXE.read_text(encoding="utf-8"))
        titles = set()
        for view in VIEWS:
            self.go(view)
            self.assertEqual(self.js("document.querySelectorAll('h1').length"), 1)
            self.assertEqual(self.js("document.querySelectorAll('.places [aria-current=page]').length"), 1, view)
            titles.add(self.js("document.title"))
            self.assertEqual(self.axe("light"), [], view)
            for width in WIDTHS:
                self.size(width)
                self.assertLessEqual(self.js("document.documentElement.scrollWidth"), width, view)
                self.assertEqual(self.js(CUT), 0, f"{view}, {width}")
            self.size(400)
            self.assertEqual(self.axe("dark", *OF_STYLE), [], f"{view}, dark, narrow")
            self.size(1280)
        self.assertEqual(len(titles), len(VIEWS))

    def test_dialogs(self) -> None:
        """Each kind of dialog fits any window, and axe-core finds nothing, light and dark."""
        self.site.request("slow")
        self.open(user="ann")
        self.browser.execute_script(AXE.read_text(encoding="utf-8"))
        for view, button in (
            ("overview", "Drain"),
            ("services/render", "Purge"),
            ("services/render", "Cancel all"),
            ("services/render", "page"),
            ("running", "slow"),
        ):
            self.go(view)
            self.click(button, "main", starts=True)
            self.until("document.querySelector('dialog')?.open")
            for theme, width in (("light", 400), ("dark", 1280)):
                self.size(width)
                self.assertEqual(self.axe(theme, within="dialog"), [], f"{button}, {theme}")
                self.assertLessEqual(self.js("document.querySelector('dialog').scrollWidth"), width, button)
            self.press("ESCAPE")
        self.click("Log out")
        self.click("Log in", ".state")
        self.until("document.querySelector('dialog')?.open")
        self.assertEqual(self.axe("dark", within="dialog"), [])

    def test_read_only(self) -> None:
        """Without a login, the views that everybody may see have no buttons that change anything."""
        self.open()
        self.browser.execute_script(AXE.read_text(encoding="utf-8"))
        for view in ("overview", "services/default", "running", "letters", "configuration"):
            self.go(view)
            self.assertEqual(self.js("document.querySelectorAll('main button').length"), 0, view)
            if view in ("running", "configuration"):  # which say what is missing
                self.assertEqual(self.axe("dark"), [], view)

    def test_roles(self) -> None:
        """Each role has the buttons for what it may do, and no others."""
        found = {}
        for user in ("bob", "sue", "dan", "ann"):
            self.browser.delete_all_cookies()
            self.open(user=user)
            texts = set()
            for view in ("services/render", "scheduled", "letters", "clients", "send", "overview"):
                self.go(view)
                texts.update(self.js(BUTTONS))
            found[user] = texts
        self.assertEqual((found["bob"], found["sue"]), (set(), {"Send", "Send a request"}))
        self.assertEqual(OPERATED - found["dan"], set())
        self.assertEqual(found["ann"] - found["dan"], {"Drain", "Remove"})

    def axe(self, theme: str, *rules: str, within: str = "html") -> list[object]:
        """Return what axe-core finds against some rules, or against all."""
        found: list[object] = self.browser.execute_async_script(
            "const [theme, rules, within, done] = arguments; document.documentElement.dataset.theme = theme;"
            "const only = rules.length ? {runOnly: {type: 'rule', values: rules}} : {};"
            "axe.run(within, {resultTypes: ['violations'], preload: false, ...only}).then((result) => done("
            "result.violations.map((each) => [each.id, each.nodes.slice(0, 3).map((node) => node.html)])),"
            "(error) => done([String(error)]));",
            theme,
            rules,
            within,
        )
        return found
