"""The test suite, for trial."""

from hypothesis import HealthCheck, settings

# How long an example takes says something about the machine, not about the code. And classes of tests are derived from
# others, to hold another implementation to the same.
settings.register_profile("alaska", deadline=None, suppress_health_check=[HealthCheck.differing_executors])
settings.load_profile("alaska")
