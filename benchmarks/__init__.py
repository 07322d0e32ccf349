"""Compares Alaska with other systems in common use, on one machine: ``make bench`` (benchmarks/README.md)."""
