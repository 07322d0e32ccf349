"""What makes a program a daemon: starting in the background, signals, checks of changed settings, log, exit status.

May import the configuration and the links, but neither broker nor worker. Begin with :mod:`alaska.daemon.program`.
"""
