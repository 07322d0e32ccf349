"""The worker: from a service request to a Lua script and back."""
