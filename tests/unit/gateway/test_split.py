"""Of two versions that serve one name each request goes to one, always the same one."""

import pytest

from littoral.domain.deployment import Assignment
from littoral.domain.ids import DeploymentName
from littoral.gateway.split import Split, aside_of, split_of


def assignment(name: str, share: float | None = None) -> Assignment:
    return Assignment(
        name=DeploymentName(name), revision=1, serves="chat", engine="fake", model="m", share=share
    )


def test_without_a_new_version_nothing_is_split():
    assert split_of(["chat", "other"], [assignment("chat"), assignment("other")]) is None
    assert split_of(["chat"], [assignment("chat"), assignment("chat.next", 0.5)]) is None


def test_the_positions_of_both_versions_are_told_apart():
    found = split_of(
        ["chat", "chat.next", "chat"], [assignment("chat"), assignment("chat.next", 0.25)]
    )
    assert found == Split(share=0.25, new=0b010, old=0b101)


@pytest.mark.parametrize("share", [0.05, 0.25, 1.0])
def test_the_share_of_requests_goes_to_the_new_version(share):
    split = Split(share=share, new=0b10, old=0b01)
    asides = [aside_of(split, b"req_%d" % at) for at in range(4000)]
    assert asides.count(0b01) == pytest.approx(4000 * share, rel=0.25)
    assert asides == [aside_of(split, b"req_%d" % at) for at in range(4000)]
