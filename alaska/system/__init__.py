"""Clocks that do not follow the wall clock, memory, file descriptors, histograms, and frequent log events.

May import only the errors. Begin with :mod:`alaska.system.clock`.
"""
