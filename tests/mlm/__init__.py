"""Tests of mlm."""
