"""Tests of alaska.commands."""
