"""An import path that programs may still use: :mod:`alaska.lua.request`."""

from alaska.lua.request import Outcome, Request, Send, SendKind

__all__ = ["Outcome", "Request", "Send", "SendKind"]
