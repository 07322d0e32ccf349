"""Commands and groups of the ``alas`` command line, on click: what their help, errors and exit statuses look like.

An error of the command line is one sentence, without the values that were given: one of them may be a password.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from alaska.commands import streams

WRONG_COMMAND_LINE = 2
SETTINGS: Mapping[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Command(click.Command):
    """A command whose errors contain no arguments. ``epilog`` is printed as it is."""

    takes_options_only = "it takes options only"
    """What is said about arguments of a command that has none."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # click's own arguments
        kwargs["context_settings"] = {**SETTINGS, **(kwargs.get("context_settings") or {})}
        super().__init__(*args, **kwargs)

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401
    ) -> click.Context:
        """See :class:`click.Command`."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            found = without_values(error)
            # click's parser does not always know the command.
            found.ctx = found.ctx or click.Context(self, parent, info_name)
            raise found from None

    def format_epilog(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the lines as they are, since they are a table or commands to type."""
        if self.epilog:
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write(self.epilog.rstrip() + "\n")


def without_values(error: click.UsageError) -> click.UsageError:
    """Return an error of click's parser without arguments that it does not expect; those may be passwords."""
    if "unexpected extra argument" in error.message:
        command = error.ctx.command if error.ctx is not None else None
        where = error.ctx.command_path if error.ctx is not None else "alas"
        has_none = command is not None and not any(isinstance(each, click.Argument) for each in command.params)
        what = getattr(command, "takes_options_only", "") if has_none else "there are too many arguments"
        if command is not None and command.name == "send":  # also what begins with an option, such as --context
            what += "; options follow the name of a command"
        return click.UsageError(f"{what}; try {where} -h", error.ctx)
    return error


class Entry(NamedTuple):
    """A command in the table of a group: ``MODULE:NAME`` of a :class:`Command`, and what it does in a line."""

    where: str
    short_help: str


class Group(click.Group):
    """A group whose commands are imported when they are used, so that sending a request imports nothing else.

    ``sections`` are the commands by the title under which the help lists them. With ``default``, arguments that begin
    with an option, and no arguments, are those of this command.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401  # click's own arguments
        sections: Mapping[str, Mapping[str, Entry]],
        default: str | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        kwargs["context_settings"] = SETTINGS
        kwargs["no_args_is_help"] = False
        super().__init__(*args, **kwargs)
        self.sections = sections
        self.default = default
        self._entries = {name: entry for section in sections.values() for name, entry in section.items()}

    def list_commands(self, _context: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(self._entries)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """Import a command."""
        entry = self._entries.get(name)
        if entry is None:
            return None
        module, _, attribute = entry.where.partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command), entry.where
        return command

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Put the default command in front of the arguments where they have none."""
        if not args and context.resilient_parsing:
            return super().parse_args(context, args)  # a shell completes the name of the command
        if not args and self.default is None:
            raise click.UsageError(f"expected one of {', '.join(self._entries)}", context)
        own = {name for each in self.get_params(context) for name in each.opts}
        if self.default is not None and (not args or (args[0].startswith("-") and args[0] not in own)):
            args = [self.default, *args]
        return super().parse_args(context, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer commands, and the options of the default command, too."""
        found = super().shell_complete(ctx, incomplete)
        if self.default is not None and incomplete.startswith("-"):
            command = self.get_command(ctx, self.default)
            assert command is not None
            with click.Context(command, ctx, self.default) as context:
                found += command.shell_complete(context, incomplete)
        return found

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is an error with a hint."""
        name = args[0]
        command = self.get_command(context, name)
        if command is None and not context.resilient_parsing:
            similar = difflib.get_close_matches(name.lower(), self._entries, 1)
            hint = f"did you mean {similar[0]}?" if similar else f"try {context.command_path} -h"
            raise click.UsageError(f"there is no such command; {hint}", context)
        return name, command, args[1:]

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands, in sections, without importing them."""
        for title, entries in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(name, entry.short_help) for name, entry in entries.items()])


def run(command: click.Command, name: str) -> int:
    """Run a command with the arguments of the program; print what is wrong with them, and return the exit status."""
    try:
        status = command.main(prog_name=name, standalone_mode=False)
    except click.UsageError as error:
        streams.write_line(said(error, name), sys.stderr)
        return WRONG_COMMAND_LINE
    except OSError as error:  # the help cannot be written
        if isinstance(error, BrokenPipeError):
            return 0
        raise failed(f"the output cannot be written: {error.strerror}") from None
    except click.ClickException as error:
        streams.write_line(f"alas: {error.format_message()}", sys.stderr)
        return error.exit_code
    return status if isinstance(status, int) else 0


def said(error: click.UsageError, name: str = "alas") -> str:
    """Return an error of the command line as a sentence, after the usage of its command."""
    path, usage = name, ""
    if error.ctx is not None:
        path, usage = error.ctx.command_path, f"{error.ctx.get_usage()}\n"
    # click puts the values of a choice on lines of their own.
    message = " ".join(error.format_message().split()).rstrip(".")
    if isinstance(error, click.NoSuchOption) and not error.possibilities:
        message += f"; try {path} -h"
    return f"{usage}{path}: {message[:1].lower()}{message[1:]}"


def failed(text: str, status: int = 1) -> SystemExit:
    """Print an error, and return the end of the command."""
    streams.write_line(f"alas: {text}", sys.stderr)
    return SystemExit(status)
