"""What makes a program a daemon: starting in the background, signals, reload, log, exit status.

May import the configuration and the links, but neither broker nor worker. Begin with :mod:`alaska.daemon.program`.
"""
