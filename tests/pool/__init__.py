"""Tests of alaska.pool."""
