"""Schedules: at which times requests are made by the broker itself, in the format of cron (docs/schedules.md).

Only this folder imports cronsim. It may import ``errors`` and ``mlm``. Begin with :mod:`alaska.schedules.schedule`;
:mod:`alaska.broker.schedules` makes the requests.
"""
