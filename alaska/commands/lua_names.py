"""Finds the globals that a Lua source reads and sets, by parsing its tokens with the scopes of local names.

The source must compile, which is not checked here. It may be for Lua 5.1 to 5.4 or LuaJIT. Why no package does this:
docs/dependencies.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from alaska.errors import AlaskaError

_TOKENS = re.compile(
    rb"""
    (?P<blank> \s+ | --\[(?P<comment>=*)\[.*?\](?P=comment)\] | --[^\n]* )
  | (?P<string> "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | \[(?P<long>=*)\[.*?\](?P=long)\] )
  | (?P<number> (?:0[xX][\w.]*(?:[pP][+-]?\w+)? | \.?\d(?:[eE][+-]?\d+|[\w.])*) )
  | (?P<name> [A-Za-z_\x80-\xff][\w\x80-\xff]* )
  | (?P<sign> \.\.\. | \.\. | :: | << | >> | // | == | ~= | <= | >= | [-+*/%^\#&~|<>=(){}\[\];:,.] )
    """,
    re.DOTALL | re.VERBOSE,
)
_KEYWORDS = frozenset(
    b"and break do else elseif end false for function if in local nil not or repeat return then true until "
    b"while".split()
)
_ENDS = (b"end", b"else", b"elseif", b"until", b"")
_BINARY = frozenset(b"+ - * / // % ^ .. < <= > >= == ~= & | ~ << >> and or".split())
_UNARY = frozenset(b"- not # ~".split())
_LITERALS = frozenset((b"nil", b"true", b"false", b"..."))
_ENVIRONMENT = b"_ENV"


class Use(NamedTuple):
    """A place where a global is read."""

    name: str
    line: int


class NotLua(AlaskaError):
    """A source that is not valid Lua, or that nests too deeply."""


class _Token(NamedTuple):
    kind: str
    text: bytes
    line: int


def globals_of(source: bytes) -> tuple[list[Use], set[str]]:
    """Return the places where a source reads globals, in order, and the names of all globals that it sets.

    :raises NotLua: the source is not valid Lua.
    """
    parser = _Parser(list(_tokens(source)))
    try:
        parser.chunk()
    except RecursionError:
        raise NotLua("it nests too deeply") from None
    return parser.uses, parser.sets


def _tokens(source: bytes) -> Iterator[_Token]:
    at, line = 0, 1
    while at < len(source):
        found = _TOKENS.match(source, at)
        if found is None or found.lastgroup is None:
            raise NotLua(f"line {line} has {source[at : at + 1]!r}")
        text = found.group()
        kind = next(kind for kind in ("blank", "string", "number", "name", "sign") if found[kind] is not None)
        if kind == "name" and text in _KEYWORDS:
            kind = "sign"
        if kind != "blank":
            yield _Token(kind, text, line)
        line += text.count(b"\n")
        at = found.end()
    yield _Token("end", b"", line)


class _Parser:
    """A recursive-descent parser; ``_local`` is the stack of local names, one set for each open block."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._local: list[set[bytes]] = []
        self.uses: list[Use] = []
        self.sets: set[str] = set()

    # Tokens

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self, text: bytes | None = None) -> _Token:
        token = self._next
        if text is not None and token.text != text:
            raise NotLua(f"line {token.line} has {token.text!r} where {text!r} is expected")
        self._at += 1
        return token

    def _took(self, *texts: bytes) -> bool:
        token = self._next
        if token.kind == "sign" and token.text in texts:
            self._at += 1
            return True
        return False

    def _name(self) -> bytes:
        token = self._take()
        if token.kind != "name":
            raise NotLua(f"line {token.line} has {token.text!r} where a name is expected")
        return token.text

    # Names

    def _is_global(self, name: bytes) -> bool:
        """Return whether a name is a global here: not a local, and not a field of a local _ENV."""
        return not any(name in names or _ENVIRONMENT in names for names in self._local)

    def _use(self, name: bytes, line: int) -> None:
        if self._is_global(name):
            self.uses.append(Use(name.decode("utf-8", "backslashreplace"), line))

    def _set(self, name: bytes) -> None:
        if self._is_global(name):
            self.sets.add(name.decode("utf-8", "backslashreplace"))

    # Blocks and statements

    def chunk(self) -> None:
        """Parse the whole source."""
        self._block()
        if self._next.kind != "end":
            raise NotLua(f"line {self._next.line} has {self._next.text!r}")

    def _block(self, *names: bytes, until: bool = False) -> None:
        self._local.append(set(names))
        while self._next.text not in _ENDS or self._next.kind == "string":
            self._statement()
        if until:
            self._take(b"until")
            self._expression()  # the locals of the block are visible here
        self._local.pop()

    def _statement(self) -> None:
        token = self._next
        found = self._STATEMENTS.get(token.text) if token.kind == "sign" else None
        if found is not None:
            self._at += 1
            found(self)
        elif token.text == b"goto" and self._tokens[self._at + 1].kind == "name":
            self._at += 2
        else:
            self._assignment_or_call()

    def _nothing(self) -> None:
        """Parse the rest of a semicolon or a break."""

    def _label(self) -> None:
        self._name()
        self._take(b"::")

    def _do(self) -> None:
        self._block()
        self._take(b"end")

    def _while(self) -> None:
        self._expression()
        self._take(b"do")
        self._do()

    def _repeat(self) -> None:
        self._block(until=True)

    def _if(self) -> None:
        self._expression()
        self._take(b"then")
        self._block()
        while self._took(b"elseif"):
            self._expression()
            self._take(b"then")
            self._block()
        if self._took(b"else"):
            self._block()
        self._take(b"end")

    def _for(self) -> None:
        names = [self._name()]
        while self._took(b","):
            names.append(self._name())
        if not self._took(b"="):
            self._take(b"in")
        self._expressions()
        self._take(b"do")
        self._block(*names)
        self._take(b"end")

    def _function(self) -> None:
        line = self._next.line
        name = self._name()
        is_field = False
        while self._took(b".", b":"):
            is_method = self._tokens[self._at - 1].text == b":"
            self._name()
            is_field = True
            if is_method:
                self._use(name, line)
                self._body(b"self")
                return
        if is_field:
            self._use(name, line)
        else:
            self._set(name)
        self._body()

    def _local_names(self) -> None:
        if self._took(b"function"):
            name = self._name()
            self._local[-1].add(name)
            self._body()
            return
        names = []
        while True:
            names.append(self._name())
            if self._took(b"<"):
                self._name()
                self._take(b">")
            if not self._took(b","):
                break
        if self._took(b"="):
            self._expressions()
        self._local[-1].update(names)

    def _return(self) -> None:
        if self._next.kind == "string" or self._next.text not in (*_ENDS, b";"):
            self._expressions()

    def _assignment_or_call(self) -> None:
        targets: list[bytes] = []
        while True:
            start, used = self._at, len(self.uses)
            self._suffixed()
            if self._at == start + 1 and self._tokens[start].kind == "name":
                targets.append(self._tokens[start].text)
                del self.uses[used:]
            if not self._took(b","):
                break
        if self._took(b"="):
            self._expressions()
        for name in targets:
            self._set(name)

    # Expressions

    def _expressions(self) -> None:
        self._expression()
        while self._took(b","):
            self._expression()

    def _expression(self) -> None:
        while True:
            while self._took(*_UNARY):
                pass
            self._simple()
            if not self._took(*_BINARY):
                return

    def _simple(self) -> None:
        token = self._next
        if token.kind in ("string", "number"):
            self._at += 1
        elif self._took(*_LITERALS):
            pass
        elif self._took(b"function"):
            self._body()
        elif self._took(b"{"):
            self._table()
        else:
            self._suffixed()

    def _suffixed(self) -> None:
        if self._took(b"("):
            self._expression()
            self._take(b")")
        else:
            line = self._next.line
            self._use(self._name(), line)
        while True:
            if self._took(b"."):
                self._name()
            elif self._took(b"["):
                self._expression()
                self._take(b"]")
            elif self._took(b":"):
                self._name()
                self._arguments()
            elif self._next.kind == "string" or self._next.text in (b"(", b"{"):
                self._arguments()
            else:
                return

    def _arguments(self) -> None:
        if self._next.kind == "string":
            self._at += 1
        elif self._took(b"{"):
            self._table()
        else:
            self._take(b"(")
            if not self._took(b")"):
                self._expressions()
                self._take(b")")

    def _table(self) -> None:
        while not self._took(b"}"):
            if self._took(b"["):
                self._expression()
                self._take(b"]")
                self._take(b"=")
            elif self._next.kind == "name" and self._tokens[self._at + 1].text == b"=":
                self._at += 2
            self._expression()
            if not self._took(b",", b";"):
                self._take(b"}")
                return

    def _body(self, *names: bytes) -> None:
        """Parse the parameters and the block of a function."""
        parameters = list(names)
        self._take(b"(")
        while not self._took(b")"):
            if not self._took(b"..."):
                parameters.append(self._name())
            self._took(b",")
        self._block(*parameters)
        self._take(b"end")

    _STATEMENTS = {  # noqa: RUF012  # never modified
        b";": _nothing,
        b"break": _nothing,
        b"::": _label,
        b"do": _do,
        b"while": _while,
        b"repeat": _repeat,
        b"if": _if,
        b"for": _for,
        b"function": _function,
        b"local": _local_names,
        b"return": _return,
    }
