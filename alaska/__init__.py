"""Alaska: Lua services behind a Malamute broker."""

__version__ = "1.0.0"
