"""The programs for other systems in the documents, which are not run: what they import and call exists."""

from __future__ import annotations

import ast
import shutil
import subprocess
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.project.pages import Block, blocks, pages


def programs(language: str) -> Iterator[tuple[str, Block]]:
    """Yield the programs that are not run, each with the name of its page."""
    for path in pages():
        for block in blocks(path.read_text(encoding="utf-8")):
            if block.kind == "not run" and block.language == language:
                yield path.name, block


class PythonTests(SynchronousTestCase):
    """Programs in Python."""

    def test_names(self) -> None:
        """Packages that are installed have what the programs use of them."""
        looked_at = 0
        for page, block in programs("python"):
            tree = ast.parse(block.text)
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and node.module and find_spec(node.module):
                    found, wanted = import_module(node.module), [each.name for each in node.names]
                elif isinstance(node, ast.Import) and find_spec(node.names[0].name):
                    name = node.names[0].name
                    found, wanted = import_module(name), [*_used_of(name, tree)]
                else:
                    continue
                looked_at += 1
                self.assertEqual([each for each in wanted if not hasattr(found, each)], [], f"{page}:{block.line}")
        self.assertGreater(looked_at, 0)


class CTests(SynchronousTestCase):
    """Programs in C."""

    def test_compiles(self) -> None:
        """They compile without a warning, where there are libmlm and a compiler."""
        compiler, file = shutil.which("cc"), Path(self.mktemp()).with_suffix(".c")
        if compiler is None or not self.has_compiled(compiler, file, ""):
            raise SkipTest("there is no compiler with libmlm")
        found = list(programs("c"))
        self.assertTrue(found)
        for page, block in found:
            self.assertTrue(self.has_compiled(compiler, file, block.text), f"{page}:{block.line}")

    def has_compiled(self, compiler: str, file: Path, text: str) -> bool:
        """Return whether statements can be compiled."""
        file.write_text(f"#include <malamute.h>\nint main (void)\n{{\n{text}\nreturn 0;\n}}\n", encoding="utf-8")
        ended = subprocess.run(
            [compiler, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", file], capture_output=True, check=False
        )
        return ended.returncode == 0


def _used_of(module: str, tree: ast.AST) -> Iterator[str]:
    """Yield the names of a module that a program uses."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == module:
            yield node.attr
