"""The settings of worker and broker, read from their files and the environment, checked and frozen.

May import messages, endpoints and what is below them. Begin with :mod:`alaska.config.worker`.

A setting is one entry of :class:`WorkerSettings` or :class:`BrokerSettings`: its path in the file, the kind of its
value, its default as text, and one sentence. The tables in docs/settings.md are made by :func:`settings_table`.

The environment overrides the file, and the file overrides the default. The variable of ``worker/pool/size`` is
``ALASKA_WORKER_POOL_SIZE``; those of the broker begin with ``MALAMUTE_``. A setting that may be repeated in the file
has exactly one value if its variable is set. In a section with free names, a variable that matches no name of the file
adds one, in lower case.
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
