"""``alas new``: makes a script and its test, to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from alaska.commands import settings, shown, streams
from alaska.commands.command import Command, failed
from alaska.commands.script_tests import SUFFIX

_SCRIPT: Final = """\
-- {name}: what this service does, in a sentence.
local request = alaska.json.decode(alaskaContext)
if not request.name then
  error 'a name is missing'
end
return 'Hello, ' .. request.name
"""
_TEST: Final = """\
test('answers', function()
  local result = expect_ok(given {{ content = {{ {{ name = 'world' }} }} }})
  expect(result.answer, 'Hello, world')
end)

test('needs a name', function()
  expect_match(given {{ content = '{{}}' }}.error, 'a name is missing')
end)
"""


_EPILOG: Final = """\
exit status: 0 if both are written, 1 if a file exists or cannot be written, 2 for a wrong command line

example: alas new greet && alas test services/"""


@click.command("new", cls=Command, epilog=_EPILOG)
@click.argument("name")
@settings.config_option
@shown.json_option
def new(name: str, config: Path | None, as_json: bool) -> None:
    """Make a script, NAME.lua, and its test, NAME_test.lua, in the scripts directory of the settings.

    If there is no such directory, it is made. Files that exist are never overwritten. Requests with the subject NAME
    run the script at once.
    """
    if not name or not name.isprintable() or name.startswith(".") or Path(name).name != name:
        raise click.UsageError("the name of a script must be that of a file, without a folder")
    name = name.removesuffix(".lua")
    folder = settings.load(config).scripts_dir
    test, script = folder / f"{name}{SUFFIX}", folder / f"{name}.lua"
    for path in (script, test):
        if path.exists():
            raise failed(f"{path} exists already")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise failed(f"the folder {folder} cannot be made: {error.strerror}") from None
    # The test first: a script is run as soon as it is there.
    for path, text in ((test, _TEST), (script, _SCRIPT)):
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text.format(name=name))
        except OSError as error:
            raise failed(f"{path} cannot be written: {error.strerror}") from None
    streams.write_line(shown.either({"script": str(script), "test": str(test)}, f"{script}\n{test}", as_json))
