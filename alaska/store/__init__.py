"""Where the broker keeps what it has not delivered yet."""
