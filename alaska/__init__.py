"""Alaska: Lua services behind a Malamute broker."""

__version__ = "1.1.0.dev0"
