"""Tests of whole programs, in real processes."""
