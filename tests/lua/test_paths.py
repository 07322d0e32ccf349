"""Search paths for system modules."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from alaska.lua.paths import module_paths


class PathsTests(SynchronousTestCase):
    """Search paths."""

    def test_usual_places(self) -> None:
        """The paths of Lua, Debian and the user's LuaRocks are searched, but not the working directory."""
        lua, c = module_paths({"HOME": "/home/me"})
        for place in (
            "/usr/local/share/lua/5.4/?.lua",
            "/usr/share/lua/5.4/?/init.lua",
            "/home/me/.luarocks/share/lua/5.4/?.lua",
        ):
            self.assertIn(place, lua.split(";"))
        for place in ("/usr/local/lib/lua/5.4/?.so", "/home/me/.luarocks/lib/lua/5.4/?.so"):
            self.assertIn(place, c.split(";"))
        self.assertTrue(any("-linux-gnu/lua/5.4/?.so" in place for place in c.split(";")))
        self.assertTrue(all(place.startswith("/") for place in f"{lua};{c}".split(";")))

    def test_variables(self) -> None:
        """Environment variables replace the paths, or add to them with ";;"; variables for 5.4 take precedence."""
        self.assertEqual(module_paths({"LUA_PATH": "/a/?.lua", "LUA_CPATH": "/a/?.so"}), ("/a/?.lua", "/a/?.so"))
        lua, _ = module_paths({"LUA_PATH": "/a/?.lua", "LUA_PATH_5_4": "/b/?.lua;;"})
        self.assertTrue(lua.startswith("/b/?.lua;/usr/local/share/"))
        self.assertNotIn("/a/", lua)
        self.assertNotIn(";;", lua)
