"""``twistd alaska``: the worker."""

from twisted.application.service import ServiceMaker

alaska = ServiceMaker("Alaska", "alaska.worker.tap", "Run Lua scripts for service requests.", "alaska")
