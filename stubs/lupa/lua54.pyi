"""The part of lupa's modules that Alaska uses, with strings as octets (``encoding=None``); all are like this one.

The types that may be passed to Lua are fewer than lupa accepts: any other object would become visible to scripts.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Plain: TypeAlias = bytes | int | float | bool | None
FromLua: TypeAlias = Any
"""The type depends on the Lua code; several values are a tuple."""

class LuaError(Exception): ...

class LuaObject:
    def __call__(self, *args: Plain | LuaObject) -> FromLua: ...

class LuaRuntime:
    def __init__(
        self,
        encoding: None,
        *,
        attribute_filter: Callable[[object, object, bool], str] | None = None,
        register_eval: bool = True,
        register_builtins: bool = True,
        unpack_returned_tuples: bool = False,
        max_memory: int | None = None,
    ) -> None: ...
    def execute(self, lua_code: bytes, *args: Plain | LuaObject, mode: str | None = None) -> FromLua: ...
    def get_memory_used(self, total: bool = False) -> int: ...
    def set_max_memory(self, max_memory: int, total: bool = False) -> None: ...
    def table_from(self, items: Mapping[bytes, Plain | LuaObject]) -> LuaObject: ...
