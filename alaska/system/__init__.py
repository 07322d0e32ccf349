"""What the operating system gives a process: clocks that no step of the wall clock changes, memory, descriptors, and
how often an event is logged.

May import the errors alone. Begin with :mod:`alaska.system.clock`.
"""
