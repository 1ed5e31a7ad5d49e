"""Which nodes a deployment is for."""

import pytest

from littoral.domain.selector import Position, Where, selects, shown

CLOUD = Position()
EDGE = Position(site="north", tier="edge", labels={"class": "pi5", "floor": "2"})


@pytest.mark.parametrize(
    ("where", "cloud", "edge", "words"),
    [
        (None, True, False, "tier cloud"),
        (Where(), True, True, "any node"),
        (Where(tier="edge"), False, True, "tier edge"),
        (Where(site="north"), False, True, "site north"),
        (Where(site="default"), True, False, "site default"),
        (Where(device_class="pi5"), False, True, "class pi5"),
        (Where(device_class="pi4"), False, False, "class pi4"),
        (Where(labels={"floor": "2"}), False, True, "floor 2"),
        (Where(site="north", labels={"floor": "3"}), False, False, "site north, floor 3"),
        (Where(site="north", tier="cloud"), False, False, "site north, tier cloud"),
    ],
)
def test_a_node_is_meant_when_it_has_all_that_is_asked(where, cloud, edge, words) -> None:
    assert (selects(where, CLOUD), selects(where, EDGE)) == (cloud, edge)
    assert shown(where) == words
