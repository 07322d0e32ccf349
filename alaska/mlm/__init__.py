"""The Malamute protocol, without sockets or clocks."""
