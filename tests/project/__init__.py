"""Tests of the documents, the benchmarks and the layers of the project."""
