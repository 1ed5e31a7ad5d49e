"""An address of a blob is good for that blob, until its time, where it was granted."""

from urllib.parse import parse_qs

import pytest

from littoral.domain.errors import Denied
from littoral.domain.ids import Digest
from littoral.trust.capability import check, grant

KEY, OTHER = bytes(32), bytes(31) + b"x"
A, B = (Digest("sha256:" + letter * 64) for letter in "ab")


def granted(digest: Digest = A, *, until: int = 100) -> dict[str, str]:
    query = parse_qs(grant(digest, until_us=until, key=KEY))
    return {name: values[0] for name, values in query.items()}


def test_a_granted_address_is_good_until_its_time():
    assert check(A, **granted(), now_us=99, key=KEY) == A
    with pytest.raises(Denied, match="ended"):
        check(A, **granted(), now_us=100, key=KEY)


@pytest.mark.parametrize(
    ("digest", "change", "key"),
    [
        (B, {}, KEY),
        (A, {"until": "101"}, KEY),
        (A, {"until": "x"}, KEY),
        (A, {"until": "9" * 30}, KEY),
        (A, {"until": ""}, KEY),
        (A, {"mac": ""}, KEY),
        (A, {"mac": "\udcff"}, KEY),
        (A, {}, OTHER),
        ("sha256:../../etc/passwd", {}, KEY),
    ],
)
def test_any_other_address_is_refused(digest, change, key):
    with pytest.raises(Denied, match="not granted"):
        check(digest, **{**granted(), **change}, now_us=0, key=key)


@pytest.mark.parametrize("digest", [A, A.removeprefix("sha256:"), "sha256:../../etc/passwd"])
@pytest.mark.parametrize("until", ["9" * 18, "9" * 20, "x", ""])
@pytest.mark.parametrize("mac", ["", "-" * 64, "0" * 64])
def test_no_text_stands_for_the_grant_of_an_address_that_cannot_be_read(digest, until, mac):
    with pytest.raises(Denied, match="not granted"):
        check(digest, until=until, mac=mac, now_us=0, key=KEY)
