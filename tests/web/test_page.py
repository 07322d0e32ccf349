"""The page in a browser: each view, what can be done in it, and what may be in names."""

from __future__ import annotations

from tests.web.browser_case import AXE, VIEWS, BrowserCase

WIDTHS = (400, 1280, 2560)


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
            self.assertEqual(self.axe("dark", "color-contrast"), [], f"{view}, dark")
            for width in WIDTHS:
                self.size(width)
                self.assertLessEqual(self.js("document.documentElement.scrollWidth"), width, view)
            self.size(400)
            self.assertEqual(self.axe("light", "scrollable-region-focusable", "aria-required-children"), [], view)
            self.size(1280)
        self.assertEqual(len(titles), len(VIEWS))

    def test_read_only(self) -> None:
        """Without a login, the views that everybody may see have no buttons that change anything."""
        self.open()
        self.browser.execute_script(AXE.read_text(encoding="utf-8"))
        for view in ("overview", "services/default", "running", "letters", "configuration"):
            self.go(view)
            self.assertEqual(self.axe("dark"), [], view)
            self.assertEqual(self.js("document.querySelectorAll('main button').length"), 0, view)

    def axe(self, theme: str, *rules: str) -> list[object]:
        """Return what axe-core finds against some rules, or against all."""
        found: list[object] = self.browser.execute_async_script(
            "const [theme, rules, done] = arguments; document.documentElement.dataset.theme = theme;"
            "const only = rules.length ? {runOnly: {type: 'rule', values: rules}} : {};"
            "axe.run({resultTypes: ['violations'], ...only}).then((result) => done(result.violations.map("
            "(each) => [each.id, each.nodes.slice(0, 3).map((node) => node.html)])),"
            "(error) => done([String(error)]));",
            theme,
            rules,
        )
        return found
