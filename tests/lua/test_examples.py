"""The shipped services, and the examples of docs/lua.md, docs/modules.md and docs/sandbox.md."""

from __future__ import annotations

import re

from alaska.lua.questions import OK
from alaska.lua.request import Send, SendKind
from alaska.lua.scripts import Scripts
from tests import PROJECT
from tests.lua.lua_case import LuaCase
from tests.project.pages import blocks

SERVICES = PROJECT / "services"
DOCS = PROJECT / "docs"
RULE = "-" * 80


def examples() -> list[str]:
    """Return the scripts in the documents."""
    pages = [DOCS.joinpath(name).read_text(encoding="utf-8") for name in ("lua.md", "modules.md")]
    found = [block for page in pages for block in blocks(page)]
    return [block.text for block in found if block.language == "lua" and not block.name.startswith("services/")]


class ServicesTests(LuaCase):
    """The services in the folder services."""

    def setUp(self) -> None:
        super().setUp()
        self.scripts = Scripts(SERVICES)

    def test_pi(self) -> None:
        """The service pi sends to its mailbox and its stream."""
        outcome = self.outcome_of("pi", b"")
        content = (b"3.1415824182477",)
        self.assertEqual(
            outcome.sends,
            (
                Send(SendKind.MAILBOX, b"aw.res.pi", b"pi.28", content, b"LU"),
                Send(SendKind.STREAM, b"numbers", b"pi.28", content, b"LU"),
            ),
        )
        self.assertIsNone(outcome.error)

    def test_dump(self) -> None:
        """The service dump prints the request's JSON between two rules."""
        outcome = self.outcome_of("dump", b'{"c":1,"list":[true,"x"]}')
        body = '{\n  c = 1,\n  list = {\n    true,\n    "x"\n  }\n}'
        self.assertEqual(outcome.output.decode(), f"{RULE}\nContext dump from Lua:\n{body}\n{RULE}\n")
        self.assertIsNone(outcome.error)

    def test_dump_of_no_json(self) -> None:
        """Invalid JSON is an error, and nothing is printed."""
        outcome = self.outcome_of("dump", b"{")
        self.assertEqual(outcome.output, b"")
        self.assertIn("dump.lua:12: Expected object key string but found T_END at character 2", str(outcome.error))


class DocumentedTests(LuaCase):
    """The examples of the documents."""

    def test_examples_run(self) -> None:
        """Every Lua example runs without an error."""
        self.assertGreater(len(examples()), 15)
        for example in examples():
            self.answers = [(OK, b'{"price":12.5}')] * 2
            self.output(example, b'{"item":"lamp"}')

    def test_example_prints(self) -> None:
        """The example of the modules prints the documented output."""
        source, printed = re.findall(
            r"^```lua\n(local cjson = require 'cjson'\n.*?)^```\n\nprints\n\n<!-- tested.*\n```text\n(.*?)^```",
            DOCS.joinpath("modules.md").read_text(),
            re.DOTALL | re.MULTILINE,
        )[0]
        self.assertEqual(self.output(source), printed)

    def test_error_looks_as_documented(self) -> None:
        """The error of a failing script has the documented form."""
        source = (
            "\nlocal function check(order)\n  if not order.item then\n    error('no item')\n  end\nend\ncheck({})\n"
        )
        lines = self.error(source).split("\n")
        shown = [re.sub(r"^(\t?).*/script", r"\1services/order", line) for line in lines]
        self.assertIn("\n".join(shown), DOCS.joinpath("lua.md").read_text())

    def test_limit_looks_as_documented(self) -> None:
        """The error of a script that runs for too long has the documented form."""
        (shown,) = re.findall(r"^services/order.lua:\d+: (.*)$", DOCS.joinpath("sandbox.md").read_text(), re.MULTILINE)
        self.use(timeout=10)
        error = self.error("while true do end").splitlines()[0]
        self.assertEqual(re.sub(r"^.*?:1: ", "", error).replace("10 ms", "10000 ms"), shown)
