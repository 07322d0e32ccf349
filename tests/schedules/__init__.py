"""Tests of alaska.schedules."""
