"""The worker service: it takes requests from a broker, gives them to the pool, and sends what scripts send.

May import all but the commands. Begin with :mod:`alaska.worker.service`.
"""
