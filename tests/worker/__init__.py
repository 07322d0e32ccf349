"""Tests of alaska.worker."""
