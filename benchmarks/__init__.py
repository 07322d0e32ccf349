"""Alaska beside what people use today, on one machine, in one run: ``make bench`` (benchmarks/README.md)."""
