"""What waits for a channel goes in its order, and is bounded."""

import pytest

from littoral.domain.outlet import Outlet
from littoral.domain.ports import ChannelClosed
from littoral.domain.session import Credit


def test_frames_go_in_their_order():
    outlet = Outlet()
    for upto in (1, 2):
        outlet.put(Credit(stream=1, upto=upto))
    assert [outlet.take().upto for _ in range(2)] == [1, 2]
    assert outlet.take() is None


def test_a_peer_that_takes_too_little_is_given_up():
    outlet = Outlet(most=1)
    outlet.put(Credit(stream=1, upto=1))
    outlet.put(Credit(stream=1, upto=2))
    with pytest.raises(ChannelClosed, match="too little"):
        outlet.take()
