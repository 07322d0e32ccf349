"""What shells complete, by their own means, and by asking a broker."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest

from tests import PROJECT
from tests.programs.system_case import SystemTestCase

BASH = """
eval "$(alas completion bash)"
COMP_WORDS=({words}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_alas_completion alas 2> /dev/null
printf '%s\\n' "${{COMPREPLY[@]}}" | grep .
"""
FISH = "alas completion fish | source; complete -C '{words}'"


class CompletionTests(SystemTestCase):
    """A folder with the command, a context, and a worker with a broker."""

    def setUp(self) -> None:
        super().setUp()
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(PROJECT),
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "ALASKA_ENDPOINT": self.endpoint,
        }
        command = self.folder / "alas"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m alaska.commands.alas "$@"\n', encoding="utf-8")
        command.chmod(0o755)
        contexts = self.folder / "config" / "alaska" / "contexts.toml"
        contexts.parent.mkdir(parents=True)
        contexts.write_text(f'[home]\nendpoint = "{self.endpoint}"\n', encoding="utf-8")

    def completed(self, shell: str, words: str) -> list[str]:
        """Return what a shell completes the last word to."""
        script = (BASH if shell == "bash" else FISH).format(words=words)
        done = subprocess.run(
            [shell, "-c", script], env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        return [line.partition("\t")[0] for line in done.stdout.splitlines()]

    async def check(self, shell: str) -> None:
        """Check what a shell completes."""
        if shutil.which(shell) is None:
            raise SkipTest(f"{shell} is not installed")
        await self.start_worker(self.worker_config())
        for words, expected in (
            ("alas stat", "status"),
            ("alas letters res", "resend"),
            ("alas services --js", "--json"),
            ("alas --json-", "--json-lines"),
            ("alas -s x --no-conf", "--no-confirm"),
            ("alas status --context ho", "home"),
            ("alas pause def", "default"),
            ("alas -a def", "default"),
        ):
            found = await deferToThread(self.completed, shell, words)
            self.assertEqual(found, [expected], words)

    async def test_bash(self) -> None:
        """Commands, options, contexts, and the names of services."""
        await self.check("bash")

    async def test_fish(self) -> None:
        """The same."""
        await self.check("fish")

    async def test_no_broker(self) -> None:
        """Without a broker, no names are offered, and nothing is printed about that."""
        self.assertEqual(await deferToThread(self.completed, "bash", "alas pause d"), [])
