"""The whole surface: one order of errors, and no input that makes a 5xx."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from littoral.gateway.route import ROUTES
from littoral.trust.form import Part, build

TEXT = {"role": "user", "content": "hi"}
FORM = build([Part(name="model", data=b"m"), Part(name="file", data=b"x" * 99, filename="a.wav")])
BODIES = {
    "/v1/chat/completions": {"messages": [TEXT]},
    "/v1/completions": {"prompt": "hi"},
    "/v1/responses": {"input": "hi"},
    "/v1/messages": {"messages": [TEXT], "max_tokens": 3},
    "/v1/messages/count_tokens": {"messages": [TEXT]},
    "/v1/embeddings": {"input": "hi"},
    "/v1/rerank": {"query": "q", "documents": ["d"]},
    "/v2/rerank": {"query": "q", "documents": ["d"]},
    "/v1/score": {"text_1": "a", "text_2": "b"},
    "/v1/moderations": {"input": "hi"},
    "/v1/decisions": {"input": "hi", "questions": [{"type": "predicate", "instructions": "x"}]},
    "/v1/audio/speech": {"input": "hi", "voice": "alloy"},
    "/tokenize": {"prompt": "hi"},
    "/v1/tokenize": {"prompt": "hi"},
    "/detokenize": {"tokens": [1]},
    "/v1/detokenize": {"tokens": [1]},
}
FORMS = ("/v1/audio/transcriptions", "/v1/audio/translations")
PATHS = sorted({path.decode() for path in ROUTES} & {*BODIES, *FORMS})
NEVER_LACKING = {"/v1/messages/count_tokens"}


def body_of(path, *, model="m"):
    if path in FORMS:
        return FORM.replace(b"\r\n\r\nm\r\n", b"\r\n\r\n" + model.encode() + b"\r\n")
    return json.dumps({"model": model, **BODIES[path]}).encode()


def status(rig, raw):
    client, transport, _ = rig.ask(raw)
    client.connection_lost(None)
    return int(transport.data[9:12]) if transport.data else 0


@pytest.mark.parametrize("path", PATHS)
def test_of_several_faults_the_first_in_order_is_told(make, path):
    rig = make(1, models=("m",), rate=1)
    rig.endpoints(
        rig.endpoint(1, capabilities=()), rig.endpoint(2, serves="secret", capabilities=())
    )
    long = "Content-Length: 99999999\r\n"
    head = rig.post(b"{", path=path, key="lit-sk-wrong")
    over = head.replace(b"Content-Length: 1\r\n", long.encode())
    assert status(rig, over) == 413
    assert status(rig, head) == 401
    assert status(rig, rig.post(b"{", path=path)) == 400
    assert status(rig, rig.post(body_of(path, model="absent"), path=path)) == 404
    assert status(rig, rig.post(body_of(path, model="secret"), path=path)) == 403
    if path not in NEVER_LACKING:
        assert status(rig, rig.post(body_of(path), path=path)) == 422


def test_every_path_is_in_the_corpus():
    paths = {path.decode() for path in ROUTES}
    assert paths - {*BODIES, *FORMS} == {path for path in paths if path.startswith("/api/")}


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["m", "user", "text", "image_url", "\ud800", "json_schema"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "content", "role", "url", "name", "id", "x"]), inner
        )
    ),
    max_leaves=12,
)


@settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    deadline=None,
    max_examples=200,
)
@given(st.sampled_from(sorted(BODIES)), st.data())
def test_any_json_in_any_field_is_answered_with_no_5xx(make, path, data):
    if path not in PATHS:
        return
    rig = make(1)
    rig.endpoints(rig.endpoint(1, capabilities=()))
    body = {"model": "m", **BODIES[path]}
    for _ in range(data.draw(st.integers(1, 3))):
        field = data.draw(st.sampled_from([*body, "stream", "n", "tools", "stop", "top_n"]))
        body[field] = data.draw(junk)
    raw = rig.post(json.dumps(body).encode(), path=path)
    assert status(rig, raw) in {200, 400, 404, 422}
    assert rig.worker.counters["internal"] == 0
    assert rig.leaks() == (0, 0, 0)


@settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    deadline=None,
    max_examples=100,
)
@given(st.sampled_from(PATHS), st.data())
def test_a_body_that_was_bent_is_answered_with_no_5xx(make, path, data):
    rig = make(1)
    rig.endpoints(rig.endpoint(1, capabilities=()))
    whole = body_of(path)
    at = data.draw(st.integers(0, len(whole)))
    to = data.draw(st.integers(at, min(len(whole), at + 20)))
    bent = whole[:at] + data.draw(st.binary(max_size=20)) + whole[to:]
    assert status(rig, rig.post(bent, path=path)) in {200, 400, 404, 422}
    assert rig.worker.counters["internal"] == 0
    assert rig.leaks() == (0, 0, 0)
