"""What the operating system gives a process: clocks, memory, descriptors."""
