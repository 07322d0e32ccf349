"""What ``alas`` does beside sending: each command in a file of its own."""
