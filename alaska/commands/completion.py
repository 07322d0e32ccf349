"""``alas completion``: prints what a shell needs to complete the commands and options of ``alas``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from alaska.commands import streams
from alaska.commands.command import Command

SHELLS = ("bash", "zsh", "fish")
_EPILOG = """\
for all later shells:
  bash  alas completion bash > ~/.local/share/bash-completion/completions/alas
  zsh   alas completion zsh > a folder of $fpath, as _alas
  fish  alas completion fish > ~/.config/fish/completions/alas.fish
for this one: eval "$(alas completion bash)"

exit status: 0 if it is printed, 2 for a wrong command line"""


@click.command("completion", cls=Command, epilog=_EPILOG)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print a script that lets a SHELL complete commands and options with the tab key."""
    from alaska.commands.alas import alas  # noqa: PLC0415  # which imports this module when it is used

    made = get_completion_class(shell)
    assert made is not None, shell
    streams.write_line(made(alas, {}, "alas", "_ALAS_COMPLETE").source())
