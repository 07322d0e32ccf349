"""The package that is published: it has all modules and all data, and works where it is installed."""

from __future__ import annotations

import atexit
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from configparser import ConfigParser
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests import PROJECT

PACKAGE = PROJECT / "alaska"
SECONDS = 300


def words(text: str) -> list[str]:
    """Return the words of a list in setup.cfg, which are separated by commas or lines."""
    return text.replace(",", " ").split()


def data_files() -> list[Path]:
    """Return the files of the package that are not Python, nor made by it."""
    found = [file for file in PACKAGE.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    return sorted(file for file in found if file.suffix not in (".py", ".pyc"))


class SetupTests(SynchronousTestCase):
    """setup.cfg."""

    def setUp(self) -> None:
        self.config = ConfigParser()
        self.config.read(PROJECT / "setup.cfg", encoding="utf-8")

    def test_packages(self) -> None:
        """All folders with modules are listed as packages."""
        folders = {file.parent.relative_to(PROJECT) for file in PACKAGE.rglob("__init__.py")}
        listed = set(words(self.config["options"]["packages"]))
        self.assertEqual(listed, {".".join(folder.parts) for folder in folders} | {"twisted.plugins"})

    def test_data(self) -> None:
        """All other files are listed as data, unless they only explain a folder."""
        patterns = {package: words(listed) for package, listed in self.config["options.package_data"].items()}
        missing = []
        for file in data_files():
            is_listed = any(
                fnmatch.fnmatch(file.relative_to(PROJECT.joinpath(*package.split("."))).as_posix(), pattern)
                for package, listed in patterns.items()
                for pattern in listed
                if PROJECT.joinpath(*package.split(".")) in file.parents
            )
            if not is_listed and file.name != "README.md":
                missing.append(str(file.relative_to(PROJECT)))
        self.assertEqual(missing, [])


@cache
def built() -> Path:
    """Return the folder with the wheel and the archive of the sources, built once, without a network.

    :raises SkipTest: they cannot be built here.
    """
    if find_spec("setuptools") is None or find_spec("pip") is None:
        raise SkipTest("the package cannot be built: there is no setuptools, or no pip, in this environment")
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    ignored = shutil.ignore_patterns(".git", ".venv", "__pycache__", "_trial_temp*", "*.egg-info", ".*_cache", "build")
    shutil.copytree(PROJECT, folder / "source", ignore=ignored)
    code = "from setuptools import build_meta as b; b.build_wheel('../dist'); b.build_sdist('../dist')"
    building = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder / "source",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if building.returncode and "bdist_wheel" in building.stdout:
        raise SkipTest("the package cannot be built: this setuptools is older than 70.1, and there is no wheel")
    assert not building.returncode, building.stdout
    return folder / "dist"


class WheelTests(SynchronousTestCase):
    """The wheel, and the archive of the sources."""

    def setUp(self) -> None:
        self.dist = built()
        self.wheel = next(self.dist.glob("*.whl"))
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def test_contents(self) -> None:
        """The wheel has all modules, all data and the plugins, and nothing else."""
        names = {name for name in zipfile.ZipFile(self.wheel).namelist() if ".dist-info/" not in name}
        modules = {file.relative_to(PROJECT).as_posix() for file in PACKAGE.rglob("*.py")}
        data = {file.relative_to(PROJECT).as_posix() for file in data_files() if file.name != "README.md"}
        plugins = {file.relative_to(PROJECT).as_posix() for file in PROJECT.glob("twisted/plugins/*.py")}
        self.assertEqual(names, modules | data | plugins)

    def test_metadata(self) -> None:
        """The metadata has the description, and the license text is included."""
        archive = zipfile.ZipFile(self.wheel)
        metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
        for line in ("Description-Content-Type: text/markdown", "Requires-Python: >=3.10", "Name: alaska-workers"):
            self.assertIn(line, text)
        self.assertIn("# Alaska\n", text)
        self.assertTrue([name for name in archive.namelist() if name.endswith("/LICENSE")])

    def test_sources(self) -> None:
        """The archive of the sources has the tests, the documents and the examples."""
        shutil.unpack_archive(next(self.dist.glob("*.tar.gz")), self.folder / "unpacked")
        top = next((self.folder / "unpacked").iterdir())
        for name in (
            "README.md",
            "CHANGELOG.md",
            "tests/project/test_package.py",
            "docs/lua.md",
            "services",
            "examples",
        ):
            self.assertTrue((top / name).exists(), name)

    def test_installed(self) -> None:
        """Installed elsewhere, ``alas`` runs a script, and ``twistd`` has the commands for broker and worker."""
        site = self.folder / "site"
        pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-index", "--no-deps"]
        subprocess.run([*pip, "--target", str(site), str(self.wheel)], check=True, timeout=SECONDS)
        script = self.folder / "hello.lua"
        script.write_text("return 'hello ' .. alaskaContext", encoding="utf-8")
        alas = self.run_in(site, str(site / "bin" / "alas"), "run", str(script), stdin="world")
        self.assertIn("hello world", alas)
        twistd = self.run_in(site, "-c", "from twisted.scripts.twistd import run; run()", "--help")
        self.assertIn("malamute", twistd)
        self.assertIn("alaska", twistd)
        where = self.run_in(site, "-c", "import alaska.aio, alaska.sync; print(alaska.__file__)")
        self.assertEqual(Path(where.strip()), site / "alaska" / "__init__.py")

    def test_documented(self) -> None:
        """The pages that install the wheel, install.md and test-scripts.md, have its name, and extras that it has."""
        config = ConfigParser()
        config.read(PROJECT / "setup.cfg", encoding="utf-8")
        for page in ("install.md", "test-scripts.md"):
            text = (PROJECT / "docs" / "howto" / page).read_text(encoding="utf-8")
            found = re.findall(r"\bdist/([\w.*-]+\.whl)\)?(?:\[([\w,]+)\])?", text)
            self.assertTrue(found, page)
            for name, extras in found:
                self.assertTrue(fnmatch.fnmatch(self.wheel.name, name), name)
                self.assertLessEqual(set(words(extras)), set(config["options.extras_require"]))
        # pipx offers the programs of the package itself, and with --include-deps also twistd.
        self.assertEqual(words(config["options.entry_points"]["console_scripts"])[0::3], ["alas"])

    def run_in(self, site: Path, *arguments: str, stdin: str = "") -> str:
        """Return what Python prints where the package is installed."""
        ran = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(site)},
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        self.assertEqual(ran.returncode, 0, ran.stdout)
        return ran.stdout
