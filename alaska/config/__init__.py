"""The settings of worker and broker, read from their files and the environment, checked and frozen.

May import the protocol (for patterns and names) and what is below it. Begin with :mod:`alaska.config.worker`.

A setting is one line of :class:`WorkerSettings` or :class:`BrokerSettings`: its path in the file, the kind of its
value, its default as one would write it, and what it means. That line is all there is to add for a new one, besides
the table in README.md, which :func:`settings_table` makes.

A value of the environment goes before that of the file, and that before the default. The variable of
``worker/pool/size`` is ``ALASKA_WORKER_POOL_SIZE``; those of the broker begin with ``MALAMUTE_``. A setting that may
stand in the file several times has exactly one value when a variable gives it. Below a section in which any names may
stand, a variable that belongs to no name of the file adds one: its own, in lower case.
"""

from alaska.config.broker import BrokerSettings
from alaska.config.loading import Loaded, load_broker, load_worker, settings_table
from alaska.config.worker import WorkerSettings
from alaska.endpoints import DEFAULT_ENDPOINT

__all__ = [
    "DEFAULT_ENDPOINT",
    "BrokerSettings",
    "Loaded",
    "WorkerSettings",
    "load_broker",
    "load_worker",
    "settings_table",
]
