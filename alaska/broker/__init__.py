"""The broker: sessions, routing rules and their wiring."""
