"""Tests of lua."""
