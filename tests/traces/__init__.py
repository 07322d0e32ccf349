"""Tests of alaska.traces."""
