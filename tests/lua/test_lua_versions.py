"""The tests of scripts pass with each version of Lua. A process can run only one version."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from alaska.errors import WrongLua
from alaska.lua.interpreter import LuaRunner
from alaska.lua.lua_versions import MODULES
from alaska.lua.options import LuaOptions
from tests import PROJECT
from tests.lua.lua_case import VERSION

TESTS = (
    "tests.pool.test_batches",
    "tests.lua.test_interpreter",
    "tests.lua.test_api",
    "tests.lua.test_asking",
    "tests.lua.test_cancelling",
    "tests.lua.test_cjson",
    "tests.lua.test_checks",
    "tests.lua.test_console",
    "tests.lua.test_delivery",
    "tests.lua.test_error_positions",
    "tests.lua.test_examples",
    "tests.lua.test_functions",
    "tests.lua.test_hostile",
    "tests.lua.test_isolation",
    "tests.lua.test_json",
    "tests.lua.test_key_values",
    "tests.lua.test_limits",
    "tests.lua.test_progress",
    "tests.lua.test_slow_code",
    "tests.lua.test_loading",
    "tests.lua.test_metamethods",
    "tests.lua.test_module_files",
    "tests.lua.test_modules",
    "tests.lua.test_patterns",
    "tests.lua.test_penlight",
    "tests.lua.test_pretty",
    "tests.lua.test_questions",
    "tests.lua.test_sandbox",
    "tests.lua.test_sending",
    "tests.lua.test_tracing",
    "tests.lua.test_tables",
    "tests.lua.test_terms",
    "tests.lua.test_verdicts",
)


class VersionTests(SynchronousTestCase):
    """The supported versions of Lua."""

    def test_others(self) -> None:
        """All tests of scripts pass with the versions that this process does not run."""
        if "ALASKA_TEST_LUA" in os.environ:
            raise SkipTest("this is the process for another version")
        for version, module in MODULES.items():
            if version == VERSION:
                continue
            if importlib.util.find_spec(module) is None:
                raise SkipTest(f"this lupa has no {module}")
            finished = subprocess.run(
                [sys.executable, "-m", "twisted.trial", "--temp-directory", os.path.abspath(self.mktemp()), *TESTS],
                cwd=PROJECT,
                env={**os.environ, "ALASKA_TEST_LUA": version},
                capture_output=True,
                check=False,
            )
            said = finished.stdout.decode(errors="replace")
            self.assertEqual(finished.returncode, 0, f"with {version}:\n{said[-20000:]}")

    def test_two_in_one_process(self) -> None:
        """A second version in one process is refused, because their symbols would conflict."""
        LuaRunner(LuaOptions(version=VERSION))
        for version in MODULES:
            if version != VERSION:
                error = self.assertRaises(WrongLua, LuaRunner, LuaOptions(version=version))
                self.assertIn("this process runs", str(error))
