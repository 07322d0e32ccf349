"""Clocks that do not follow the wall clock, memory, file descriptors, threads, histograms, and frequent log events.

May import the interfaces and what is below them. Begin with :mod:`alaska.system.clock`.
"""
