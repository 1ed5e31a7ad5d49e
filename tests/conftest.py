"""What every test relies on, whatever the machine.

Property tests: no test asserts a duration, so none fails because the machine is busy. Temporary
folders have short paths, as the sockets in them need, even where TMPDIR is long.
"""

import tempfile

from hypothesis import HealthCheck, settings

LONGEST_TMPDIR = 16
if len(tempfile.gettempdir()) > LONGEST_TMPDIR:
    tempfile.tempdir = "/tmp"  # noqa: S108  pytest makes its own folder in it, mode 0700

settings.register_profile(
    "littoral", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("littoral")
