"""The test suite, for trial."""
