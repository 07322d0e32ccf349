"""What a program is as a daemon: how it starts in the background, what signals do to it, with which status it ends."""
