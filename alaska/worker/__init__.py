"""The worker service: it takes requests from a broker, passes them to the pool, and sends the messages of scripts.

May import everything except the commands and the testing tools. Begin with :mod:`alaska.worker.service`.
"""
