"""HTTP: health, metrics, the API of broker and worker, and messages for programs without ZeroMQ (docs/http.md).

Begin with :mod:`alaska.admin.http.routes`, the table of what can be asked. A request passes :mod:`.channel` (limits of
time and size), :mod:`.exchange` (one request and its answer), :mod:`.gate` (who asks) and the call of its route.
"""
