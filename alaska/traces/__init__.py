"""Traces: the context that messages carry (``context.py``), and spans of OpenTelemetry (docs/traces.md).

Only this folder imports OpenTelemetry, and only ``spans.py`` and ``provider.py``, where spans are wanted. Everything
else passes the context on as text. The folder may import ``errors``, ``mlm``, ``names`` and ``endpoints``.
"""
