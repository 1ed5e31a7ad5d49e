import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.audit import Standing
from littoral.domain.ids import DeploymentName
from littoral.domain.policy import Audits, Match, Policy, PolicySpec, Quality
from littoral.placement.policy import (
    Asker,
    barred,
    covers,
    good_enough,
    has_slack,
    holding,
    is_held,
    is_whose,
    others,
    price_of,
    tagged,
)

ASKER = Asker("web", "key-1", "chat-large")
BATCH = ASKER._replace(tag="batch")


def policy(name: str, tag: str = "", **match: tuple[str, ...]) -> Policy:
    return Policy(name=name, spec=PolicySpec(match=Match(**match), tag=tag))


def test_a_policy_for_nobody_in_particular_is_for_everybody():
    assert covers(Match(), ASKER)


@pytest.mark.parametrize(
    ("match", "is_for"),
    [
        ({"projects": ("web", "app")}, True),
        ({"projects": ("app",)}, False),
        ({"keys": ("key-*",)}, True),
        ({"keys": ("key-2",)}, False),
        ({"models": ("chat-*",)}, True),
        ({"models": ("*-large",)}, False),
        ({"projects": ("web",), "models": ("other",)}, False),
    ],
)
def test_each_list_that_is_given_must_name_the_request(match, is_for):
    assert covers(Match(**match), ASKER) is is_for


def test_a_list_of_tags_names_requests_with_one_of_them_only():
    assert covers(Match(tags=("batch",)), BATCH)
    assert covers(Match(tags=("*",)), BATCH)
    assert not covers(Match(tags=("chat",)), BATCH)
    assert not covers(Match(tags=("*",)), ASKER)


def test_the_tag_of_a_key_comes_before_that_of_any_policy():
    assert tagged([policy("a", "chat", keys=("key-1",))], BATCH) == BATCH


def test_the_policy_that_gives_the_tag_is_the_most_particular_of_those_that_have_one():
    model, project = policy("b", "slow", models=("chat-*",)), policy("c", "web", projects=("web",))
    bare = policy("d", keys=("key-1",))
    assert tagged([model, project, bare], ASKER).tag == "web"
    assert tagged([model, bare], ASKER).tag == "slow"
    assert tagged([bare, policy("e", "x", keys=("other",))], ASKER) == ASKER


def test_a_policy_that_names_the_tag_holds_before_those_that_name_project_or_model():
    model, project = policy("b", models=("chat-*",)), policy("c", projects=("web",))
    tag, key = policy("d", tags=("batch",)), policy("e", keys=("key-1",))
    assert holding([model, project, tag, key], BATCH) is key
    assert holding([model, project, tag], BATCH) is tag
    assert holding([model, project, tag], ASKER) is project


def test_the_most_particular_policy_holds_then_the_first_by_name():
    everybody, model = policy("a"), policy("b", models=("chat-*",))
    project, key = policy("c", projects=("web",)), policy("d", keys=("key-1",))
    assert holding([everybody, model, project, key], ASKER) is key
    assert holding([everybody, model, project], ASKER) is project
    assert holding([everybody, model], ASKER) is model
    assert holding([policy("z"), everybody], ASKER) is everybody
    assert holding([policy("b", keys=("other",))], ASKER) is None


def test_only_listed_deployments_may_be_asked():
    spec = PolicySpec(deployments=("near", "far"))
    assert barred(spec, ["near", "other", "far", "other"]) == 0b1010
    assert barred(PolicySpec(), ["near", "other"]) == 0


def test_a_deployment_rated_too_far_below_the_best_one_there_is_not_asked():
    quality = Quality(ratings={"small": 0.6, "large": 0.9, "gone": 1.0}, max_loss=0.2)
    spec = PolicySpec(quality=quality)
    assert barred(spec, ["small", "large", "unrated"]) == 0b001
    assert barred(spec, ["small", "unrated"]) == 0
    assert good_enough(quality, "small", ["small", "large"]) is False
    assert good_enough(Quality(ratings=quality.ratings, max_loss=0.3), "small", ["small", "large"])


@given(
    st.dictionaries(st.sampled_from("abc"), st.floats(0, 1)),
    st.floats(0, 1),
    st.lists(st.sampled_from("abcd"), min_size=1),
)
def test_the_best_rated_deployment_is_always_left(ratings, max_loss, names):
    mask = barred(PolicySpec(quality=Quality(ratings=ratings, max_loss=max_loss)), names)
    assert mask != (1 << len(names)) - 1


def test_a_miss_prices_itself_by_the_dearest_place():
    assert price_of(None, 0.1) == 0.0
    assert price_of(0.5, 0.1) == 0.5
    assert price_of("auto", 0.1) == pytest.approx(3.0)
    assert price_of("auto", 0.0) == 1.0


AUDITED = Quality(
    ratings={"near": 0.1, "far": 0.9},
    audits=Audits(reference="far", candidate="near", off=("off",)),
)


def standing(*tags, decided=True):
    return Standing(policy="p", candidate=DeploymentName("near"), decided=decided, tags=tags)


def kept(tag, found, names=("near", "far", "far.next", "third")):
    return barred(PolicySpec(quality=AUDITED), names, tag=tag, standing=found)


def test_audits_say_which_tags_the_cheaper_deployment_gets_and_ratings_nothing_any_more():
    assert kept("good", standing("good")) == 0
    assert kept("bad", standing("good")) == 0b0001
    assert kept("good", standing("good"), ("near.next", "far")) == 0
    assert kept("bad", standing("good"), ("near.next", "far")) == 0b01


def test_ratings_hold_where_audits_say_nothing():
    assert kept("good", None) == 0b0001
    assert kept("good", standing("good", decided=False)) == 0b0001
    assert kept("off", standing("off")) == 0b0001
    assert kept("good", standing("good"), ("near", "third")) == 0
    assert is_held(None, "near", ["near"], tag="t", standing=standing()) is None


def test_a_policy_is_for_a_key_whatever_its_models():
    assert is_whose(Match(models=("m",)), "web", "key-1")
    assert not is_whose(Match(projects=("other",)), "web", "key-1")
    assert not is_whose(Match(keys=("other",)), "web", "key-1")


def test_two_answers_fit_where_their_bounds_together_do():
    assert has_slack(1.0, 2.0, 3.0)
    assert not has_slack(1.0, 2.1, 3.0)
    assert has_slack(1e9, 1e9, float("inf"))


@given(*[st.floats(0, 1e6)] * 4)
def test_less_time_or_longer_bounds_never_make_room(first, then, left, more):
    if not has_slack(first, then, left):
        assert not has_slack(first + more, then, left)
        assert not has_slack(first, then + more, left)
        assert not has_slack(first, then, left - more)


def test_a_new_version_beside_a_deployment_is_of_that_deployment():
    assert others(["near", "far", "near.next", "nearer"], "near") == 0b1010
    assert others([], "near") == 0
