"""An import path that programs may still use: :mod:`alaska.system.clock`."""

from alaska.system.clock import run_on_monotonic_time

__all__ = ["run_on_monotonic_time"]
