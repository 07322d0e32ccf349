"""The programs in docs/clients.md run as they are there, but for the endpoint."""

from __future__ import annotations

import re

from tests import PROJECT
from tests.programs.system_case import SystemTestCase

PAGE = PROJECT / "docs" / "clients.md"
ENDPOINT = "tcp://127.0.0.1:9999"
PRINTED = [
    ["hello world"],
    ["hello world"],
    ["hello ann", "hello bob", "404"],
    ["note buy milk"],
    ["sport goal"],
    ["{'words': 3}"],
]
"""What each of the programs prints, in order."""


class PageTests(SystemTestCase):
    """docs/clients.md."""

    async def test_programs(self) -> None:
        """Each program ends without an error, and prints what is expected."""
        self.script("hello", "return 'hello ' .. alaskaContext")
        await self.start_worker(self.worker_config())
        programs = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        self.assertEqual(len(programs), len(PRINTED))
        for number, (text, printed) in enumerate(zip(programs, PRINTED, strict=True)):
            self.assertIn(ENDPOINT, text)
            path = self.config(f"program{number}.py", text.replace(ENDPOINT, self.endpoint))
            program = self.run_program(str(path))
            self.assertEqual((await program.ended, program.output.splitlines()), (0, printed), text)
