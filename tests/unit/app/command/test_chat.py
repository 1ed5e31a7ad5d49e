import io
import json

import pytest

from littoral.app.command.chat import Dialogue, visible
from littoral.app.command.conversation import Answer, Wish, absorb, refusal
from littoral.app.command.messages import Messages
from littoral.app.command.screen import Screen
from littoral.domain.errors import InvalidInput, LittoralError, Unauthenticated, UpstreamFailed


def chunk(text=None, **more):
    choices = (
        [] if text is None else [{"index": 0, "delta": {"content": text}, "finish_reason": None}]
    )
    return {"choices": choices, "usage": None} | more


def streamed(*chunks, done=True):
    frames = [f"data: {json.dumps(each)}\n\n" for each in chunks]
    return "".join(frames) + ("data: [DONE]\n\n" if done else "")


USAGE = chunk(usage={"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7})
MODELS = {"object": "list", "data": [{"id": "m"}]}


@pytest.fixture(autouse=True)
def nothing_is_piped_in(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))


@pytest.fixture
def model(stand_in):
    stand_in.on("GET /v1/models", MODELS)
    stand_in.on("POST /v1/chat/completions", streamed(chunk("Hi"), chunk(" you"), USAGE))
    return stand_in


def test_an_answer_is_written_as_it_comes_and_its_figures_beside_it(call, model):
    said = call(
        "chat", "m", "hello", "--system", "Be brief.", "--max-tokens", "9", "--temperature", "0"
    )
    assert said.out == "Hi you\n"
    assert "(2 tokens, first after" in said.err
    assert "local/llama_cpp; only)" in said.err
    sent = model.bodies("POST /v1/chat/completions")[0]
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert (sent["max_tokens"], sent["temperature"], sent["stream"]) == (9, 0, True)


def test_the_only_model_need_not_be_named_and_input_may_be_piped(call, model, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("the letter\n"))
    assert call("chat").out == "Hi you\n"
    sent = model.bodies("POST /v1/chat/completions")[0]
    assert sent["messages"] == [{"role": "user", "content": "the letter"}]
    assert "max_tokens" not in sent


@pytest.mark.usefixtures("model")
def test_json_gives_the_whole_answer(call):
    told = call("chat", "m", "hello", "--json").json
    assert (told["text"], told["tokens_out"], told["request"]) == ("Hi you", 2, "req_1")


@pytest.mark.usefixtures("model")
def test_an_unknown_model_lists_the_known_ones(call):
    assert "known: m" in call("chat", "x", "hello").err


def test_without_models_the_next_step_is_told(call, stand_in):
    stand_in.on("GET /v1/models", {"data": []})
    assert "littoral up --model" in call("chat").err
    stand_in.on("GET /v1/models", {"data": [{"id": "a"}, {"id": "b"}]})
    assert "name one: a, b" in call("chat").err


@pytest.mark.usefixtures("model")
def test_nothing_to_ask_is_refused(call):
    assert "nothing to ask" in call("chat", "m").err
    assert "with --json give a prompt" in call("chat", "m", "--json").out


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            streamed(chunk("Hi"), {"error": {"message": "engine died", "code": "upstream"}}),
            "engine died",
        ),
        (streamed(chunk("Hi"), done=False), "broke off"),
    ],
)
def test_an_answer_that_breaks_off_is_an_error(call, stand_in, body, told):
    stand_in.on("GET /v1/models", MODELS)
    stand_in.on("POST /v1/chat/completions", body)
    said = call("chat", "m", "hello")
    assert said.status == 2
    assert told in said.err


def test_control_characters_of_a_model_do_not_reach_the_terminal():
    assert visible("a\x1b[2Jb\r\n\tc\x9b") == "a[2Jb\n\tc"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Unauthenticated), (404, InvalidInput), (429, InvalidInput), (503, UpstreamFailed)],
)
def test_refusals_keep_their_message(status, kind):
    body = b'{"error": {"message": "no such model"}}'
    error = refusal(status, body)
    assert isinstance(error, kind)
    assert error.message.startswith("no such model")
    assert "<html>" in refusal(status, b"<html>").message


def test_a_chunk_without_choices_or_content_is_nothing():
    answer = Answer()
    assert absorb({"choices": [{"delta": {"role": "assistant"}}]}, answer) == ""
    assert absorb({"choices": [{"delta": {}, "finish_reason": "stop"}]}, answer) == ""
    assert (answer.text, answer.finish) == ("", "stop")


class Parrot:
    """A conversation that answers with what it was asked, or fails."""

    def __init__(self):
        self.asked = []

    def ask(self, _wish, messages, answer):
        self.asked.append([message["content"] for message in messages])
        text = messages[-1]["content"]
        if text == "fail":
            raise UpstreamFailed("the engine died")
        if text == "long":
            yield "lo"
            raise KeyboardInterrupt
        answer.text = text
        yield text


def talked(*lines):
    given = iter(lines)

    def read(_):
        line = next(given, None)
        if line is None:
            raise EOFError
        if line == "^C":
            raise KeyboardInterrupt
        return line

    out, err, parrot = io.StringIO(), io.StringIO(), Parrot()
    shown = Screen(as_json=False, out=out, err=err, say=Messages("en"))
    dialogue = Dialogue(shown=shown, talk=parrot, wish=Wish(model="m"), start=[])
    assert dialogue.go_on(read) == 0
    return parrot.asked, out.getvalue(), err.getvalue()


def test_a_dialogue_remembers_until_cleared_and_ends_with_exit():
    asked, _, err = talked("one", "two", "/clear", "", "three", "/exit", "never")
    assert asked == [["one"], ["one", "one", "two"], ["three"]]
    assert "Forgotten." in err


def test_a_line_that_ends_in_a_backslash_goes_on():
    assert talked("one\\", "two")[0] == [["one\ntwo"]]


def test_an_interrupt_ends_the_answer_only():
    asked, out, err = talked("long", "^C", "next")
    assert asked[1] == ["long", "", "next"]
    assert out.startswith("lo")
    assert "(stopped)" in err


def test_a_failed_question_is_told_and_not_remembered():
    asked, _, err = talked("fail", "next")
    assert asked[1] == ["next"]
    assert "error: the engine died" in err
    assert issubclass(UpstreamFailed, LittoralError)
