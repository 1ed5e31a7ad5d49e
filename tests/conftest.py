"""Property tests: no test asserts a duration, so none fails because the machine is busy."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "littoral", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("littoral")
