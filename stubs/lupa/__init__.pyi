"""The part of lupa that Alaska uses; lupa ships no type information."""

from contextlib import AbstractContextManager

def allow_lua_module_loading() -> AbstractContextManager[None]: ...
