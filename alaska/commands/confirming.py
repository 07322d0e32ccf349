"""The question before what cannot be undone. It is asked at a terminal only; a script need not answer it."""

from __future__ import annotations

import sys

import click

from alaska.commands.command import failed

yes_option = click.option("-y", "--yes", "is_sure", is_flag=True, help="Do not ask, which is done at a terminal only.")
"""The option of a command that calls :func:`confirm`."""


def confirm(question: str, is_sure: bool) -> None:
    """Ask whether to do something, unless that is sure, or there is nobody to answer.

    :raises SystemExit: the answer is no.
    """
    if is_sure or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    if not click.confirm(question, err=True):
        raise failed("nothing is changed")
