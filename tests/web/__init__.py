"""Tests of the administration page."""
