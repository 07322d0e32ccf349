"""The test suite, for trial."""

from hypothesis import settings

# How long an example takes says something about the machine, not about the code.
settings.register_profile("alaska", deadline=None)
settings.load_profile("alaska")
