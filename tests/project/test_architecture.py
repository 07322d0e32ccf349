"""The files that docs/architecture.md names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from twisted.trial.unittest import SynchronousTestCase

from tests import PROJECT

TEXT = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")


def files_of(text: str) -> Iterator[str]:
    """Yield the paths of all files in a text; a name without a folder is in the folder named before it."""
    folder = PurePosixPath()
    for name in re.findall(r"`([\w./-]+(?:\.py|\.lua|/))`", text):
        path = PurePosixPath(name)
        if name.endswith("/") and len(path.parts) > 1:
            folder = path
        elif len(path.parts) > 1:
            folder = path.parent
            yield name
        elif not name.endswith("/"):
            yield str(folder / name)


class ArchitectureTests(SynchronousTestCase):
    """The text of docs/architecture.md."""

    def test_files(self) -> None:
        """Each file that the document names exists."""
        found = [file for line in TEXT.split("\n\n- **") for row in line.split("\n|") for file in files_of(row)]
        self.assertIn("alaska/broker/queues.py", found)
        self.assertEqual([file for file in found if not (PROJECT / file).exists()], [])
