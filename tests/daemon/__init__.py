"""Tests of alaska.daemon."""
