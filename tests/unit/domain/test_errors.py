import re
from collections.abc import Iterator

import pytest

from littoral.domain import errors
from littoral.domain.errors import BudgetExhausted, LimitReached, LittoralError


def tree(kind: type[LittoralError], depth: int = 0) -> Iterator[tuple[int, type[LittoralError]]]:
    for child in kind.__subclasses__():
        yield depth, child
        yield from tree(child, depth + 1)


ALL = [kind for _, kind in tree(LittoralError) if kind.__module__ == errors.__name__]


def test_the_tree_drawn_is_the_tree_that_is():
    drawn = [
        (len(before) // 4, name, int(status), code)
        for before, name, status, code in re.findall(
            r"^([│ ]*)[├└]── (\w+) +(\d+) (\w+)$", str(errors.__doc__), re.MULTILINE
        )
    ]
    real = [
        (depth, kind.__name__, kind.status, kind.code)
        for depth, kind in tree(LittoralError)
        if kind.__module__ == errors.__name__
    ]
    assert drawn == real


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_has_a_code_of_its_own_a_status_and_a_sentence(kind):
    assert "code" in vars(kind)
    assert 400 <= kind.status < 600
    assert str(kind.__doc__).splitlines()[0].endswith((".", ")"))
    assert [other for other in ALL if other.code == kind.code] == [kind]
    waits = kind.status in {429, 502, 503} and kind is not BudgetExhausted
    assert kind.retryable == waits


def test_an_error_carries_what_a_client_needs():
    error = LimitReached("slow down", param="rpm", retry_after_s=1.5)
    assert (str(error), error.message) == ("slow down", "slow down")
    assert (error.param, error.retry_after_s) == ("rpm", 1.5)
    plain = LittoralError("x")
    assert (plain.param, plain.retry_after_s) == (None, None)
    assert (plain.code, plain.status, plain.retryable) == ("internal", 500, False)
