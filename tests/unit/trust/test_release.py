"""Orders: signed for one node, and checked."""

import json

import pytest

from littoral.domain.errors import Damaged
from littoral.domain.release import Order, Release, WheelFile
from littoral.trust import signature
from littoral.trust.release import KIND, accept, sign

SEED = bytes(range(32))
PUBLIC = signature.public_of(SEED)
KEYS = {signature.key_id(PUBLIC): PUBLIC}
ORDER = Order(
    node="nd1",
    number=7,
    release=Release(
        version="0.2.0",
        wheels=(
            WheelFile(
                name="littoral-0.2.0-py3-none-any.whl", digest="sha256:" + "a" * 64, size=1000
            ),
        ),
        requires="0.1.0",
    ),
    within_s=60.0,
)


def signed(change=None):
    told = json.loads(signature.verify(sign(ORDER, seed=SEED), KEYS, kind=KIND))
    if change is not None:
        change(told)
    return signature.sign(json.dumps(told).encode(), seed=SEED, kind=KIND)


def test_an_order_comes_back_as_it_was_signed():
    assert accept(sign(ORDER, seed=SEED), node="nd1", keys=KEYS) == ORDER


def test_a_forged_order_is_refused():
    token = sign(ORDER, seed=bytes(32))
    with pytest.raises(Damaged, match="signed by"):
        accept(token, node="nd1", keys=KEYS)
    changed = bytearray(sign(ORDER, seed=SEED))
    changed[len(changed) // 2] ^= 1
    with pytest.raises(Damaged):
        accept(bytes(changed), node="nd1", keys=KEYS)


def test_a_token_of_another_kind_is_no_order():
    token = signature.sign(b"{}", seed=SEED, kind="littoral-blob")
    with pytest.raises(Damaged, match="header"):
        accept(token, node="nd1", keys=KEYS)


def test_an_order_for_another_node_is_refused():
    with pytest.raises(Damaged, match="it is for nd1, and this is nd2"):
        accept(sign(ORDER, seed=SEED), node="nd2", keys=KEYS)


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.pop("release"),
        lambda told: told.update(within_s=0.1),
        lambda told: told.update(within_s=1e9),
        lambda told: told.update(number="many"),
        lambda told: told["release"].update(version="../../etc"),
        lambda told: told["release"].update(requires=""),
        lambda told: told["release"]["wheels"][0].update(name="../x.whl"),
        lambda told: told["release"]["wheels"][0].update(digest="sha256:12"),
        lambda told: told["release"].update(wheels=told["release"]["wheels"] * 201),
        lambda told: told["release"].update(wheels=7),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_though_it_is_signed(change):
    with pytest.raises(Damaged, match="makes no sense"):
        accept(signed(change), node="nd1", keys=KEYS)
