"""Tokens are asked for by both engines' names, and answered in one shape."""

import json

import pytest

from littoral.gateway.tokenization import TOKENS, encode, read_detokenize, read_tokenize


def asked(**fields):
    return read_tokenize(json.dumps({"model": "m", **fields}).encode())


def mended(ask, **reply):
    return json.loads(TOKENS.whole(ask, json.dumps(reply).encode(), "req_1"))


def test_a_prompt_is_sent_under_both_names():
    sent = json.loads(encode(asked(prompt="ebb", add_special_tokens=False), "engine", 1))
    assert sent["model"] == "engine"
    assert (sent["prompt"], sent["content"]) == ("ebb", "ebb")
    assert (sent["add_special_tokens"], sent["add_special"]) == (False, False)
    ids = read_detokenize(b'{"model":"m","tokens":[1,2]}')
    assert json.loads(encode(ids, "e", 1)) == {"model": "e", "tokens": [1, 2]}


def test_both_shapes_become_one():
    ask = asked(prompt="ebb")
    whole = {"count": 2, "max_model_len": 64, "tokens": [1, 2], "token_strs": None}
    assert mended(ask, **whole) == whole
    assert mended(ask, tokens=[1, 2]) == whole | {"max_model_len": None}
    pieces = [{"id": 1, "piece": "e"}, {"id": 2, "piece": [98, 98]}]
    assert mended(ask, tokens=pieces)["token_strs"] == ["e", "bb"]
    back = read_detokenize(b'{"model":"m","tokens":[1,2]}')
    assert mended(back, content="ebb") == mended(back, prompt="ebb") == {"prompt": "ebb"}


def test_what_no_tokenizer_said_is_an_error_of_the_engine():
    chat = asked(messages=[{"role": "user", "content": "ebb"}])
    with pytest.raises(ValueError, match="not of messages"):
        mended(chat, tokens=[])
    assert mended(chat, tokens=[1], count=1)["count"] == 1
    with pytest.raises(ValueError, match="no text"):
        mended(read_detokenize(b'{"model":"m","tokens":[]}'))
    with pytest.raises(ValueError, match="never streamed"):
        TOKENS.stream(chat, "req_1")


def test_the_tokens_of_messages_need_an_engine_that_puts_them_into_its_template(rig):
    rig.endpoints(rig.endpoint(1, capabilities=("chat", "tokenize")))
    chat = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
    _, transport, engine = rig.ask(rig.post(chat, path="/tokenize"))
    assert engine is None
    assert transport.data.startswith(b"HTTP/1.1 422")
    assert b"lack tokenize_chat" in transport.data
    able = rig.endpoint(1, capabilities=("chat", "tokenize", "tokenize_chat"))
    rig.endpoints(able)
    _, _, engine = rig.ask(rig.post(chat, path="/tokenize"))
    assert b'"messages"' in engine.data
