"""NATS JetStream as in ``nats_jetstream.py``, but the worker fetches requests in batches."""

from __future__ import annotations

from typing import ClassVar

from benchmarks.contenders import nats_jetstream


class Subject(nats_jetstream.Subject):
    """The consumer type that NATS recommends for new programs."""

    name = "NATS JetStream, pulled"
    worker: ClassVar[str] = "pull"
