from itertools import combinations
from typing import get_args

import pytest

from littoral.domain.errors import Denied
from littoral.domain.ids import KeyId, ProjectId
from littoral.domain.project import Principal, Scope
from littoral.trust.role import SCOPE_OF, Action, allows, authorize, subset

SCOPES = get_args(Scope)
MATRIX = {
    "infer": {"infer"},
    "read": {
        "resource.read",
        "usage.read",
        "node.read",
        "status.read",
        "snapshot.read",
        "event.read",
        "ca.read",
    },
    "write": {"resource.write", "model.write", "node.write"},
    "keys": {"key.read", "key.write"},
    "admin": set(get_args(Action)),
}
SETS = [chosen for size in range(len(SCOPES) + 1) for chosen in combinations(SCOPES, size)]


def test_every_action_needs_a_scope():
    assert set(SCOPE_OF) == set(get_args(Action))
    assert set().union(*MATRIX.values()) == set(get_args(Action))


@pytest.mark.parametrize("scopes", SETS, ids="+".join)
def test_a_key_may_do_exactly_what_its_scopes_allow(scopes):
    may = set().union(*(MATRIX[scope] for scope in scopes))
    principal = Principal(key=KeyId("k"), project=ProjectId("p"), scopes=scopes)
    for action in get_args(Action):
        assert allows(scopes, action) == (action in may)
        if action in may:
            authorize(principal, action)
        else:
            with pytest.raises(Denied, match=f"needs the scope '{SCOPE_OF[action]}'"):
                authorize(principal, action)


def test_a_refusal_says_what_the_key_has():
    with pytest.raises(Denied, match="key 'k' has: none"):
        authorize(Principal(key=KeyId("k"), project=ProjectId("p"), scopes=()), "infer")
    with pytest.raises(Denied, match="has: infer, read"):
        authorize(
            Principal(key=KeyId("k"), project=ProjectId("p"), scopes=("read", "infer")), "key.read"
        )


@pytest.mark.parametrize("scopes", SETS, ids="+".join)
def test_a_minted_key_never_may_more_than_its_creator(scopes):
    for creator in SETS:
        if subset(scopes, creator):
            for action in get_args(Action):
                assert allows(creator, action) or not allows(scopes, action)
        else:
            assert "admin" not in creator
            assert not set(scopes) <= set(creator)
