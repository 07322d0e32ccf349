"""The plugins for twistd."""

from __future__ import annotations

import sys
from subprocess import run

from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject


class PluginTests(SynchronousTestCase):
    """The plugins of worker and broker."""

    def test_found(self) -> None:
        """Twistd finds each plugin once, under its command name."""
        found = [plugin for plugin in getPlugins(IServiceMaker) if plugin.tapname in ("alaska", "malamute")]
        self.assertEqual(sorted(plugin.tapname for plugin in found), ["alaska", "malamute"])
        for plugin in found:
            self.assertTrue(verifyObject(IServiceMaker, plugin))
            self.assertTrue(callable(plugin.makeService))

    def test_light(self) -> None:
        """Importing the plugins, as every twistd does, does not import alaska."""
        code = (
            "import sys, twisted.plugins.alaska_plugin, twisted.plugins.malamute_plugin;"
            "sys.exit(any(name.split('.')[0] == 'alaska' for name in sys.modules))"
        )
        ended = run([sys.executable, "-c", code], check=False, capture_output=True)
        self.assertEqual(ended.returncode, 0, ended.stderr)
