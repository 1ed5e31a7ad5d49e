"""The bytes of a request, and what a schedule becomes for each worker."""

import json

import pytest

from littoral.app.bench.arrival import Arrival
from littoral.app.bench.crew import Harvest
from littoral.app.bench.message import Address, Job, Ready, Report, Row, Task, frame
from littoral.app.bench.prompt import PromptMaker, Scale, Sharing
from littoral.app.bench.request import RequestMaker, body
from littoral.app.bench.run import Wish, address, conditions, result, tasks, work
from littoral.app.bench.wire.worker import maker
from littoral.domain.errors import InvalidInput, Unavailable
from littoral.domain.units import Micros
from littoral.testing.chance import SeededChance
from unit.app.bench.records import ANSWERED, plan

PROMPTS = PromptMaker(SeededChance(1), scale=Scale(), sharing=Sharing())
PLACE = Address(host="models.example", peer="127.0.0.1", port=8080, tls=False, path="/v1/x")


def requests(endpoint="chat", *, key="k", stream=True, place=PLACE, extra=None):
    made = work(plan(endpoint=endpoint, stream=stream, extra=extra or {}), Scale())
    return RequestMaker(place, key, work=made, prompts=PROMPTS)


def parted(data):
    head, _, text = data.partition(b"\r\n\r\n")
    return head.decode().split("\r\n"), json.loads(text), len(text)


def test_a_streamed_chat_asks_for_its_usage():
    head, asked, size = parted(requests().make(Job(3, 0.0, 20, 9)))
    assert head[:2] == ["POST /v1/x HTTP/1.1", "Host: models.example:8080"]
    assert "Authorization: Bearer k" in head
    assert f"Content-Length: {size}" in head
    assert len(asked.pop("messages")[0]["content"].split()) == 20
    assert asked == {
        "model": "m",
        "max_tokens": 9,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_completions_have_a_prompt_and_embeddings_an_input():
    _, asked, _ = parted(requests("completions", stream=False).make(Job(3, 0.0, 5, 9)))
    assert set(asked) == {"model", "prompt", "max_tokens"}
    _, asked, _ = parted(requests("embeddings", stream=False).make(Job(3, 0.0, 5, 9)))
    assert set(asked) == {"model", "input"}


def test_what_is_extra_wins_and_no_key_sends_none():
    made = requests(key="", extra={"max_tokens": 1, "ignore_eos": True})
    head, asked, _ = parted(made.make(Job(3, 0.0, 5, 9)))
    assert not [line for line in head if line.startswith("Authorization")]
    assert (asked["max_tokens"], asked["ignore_eos"]) == (1, True)


def test_the_usual_port_is_left_out_and_an_address_of_six_has_brackets():
    place = Address(host="::1", peer="::1", port=443, tls=True, path="/v1/x")
    head, _, _ = parted(requests(place=place).make(Job(0, 0.0, 5, 9)))
    assert head[1] == "Host: [::1]"


def test_an_address_keeps_its_path_and_is_resolved():
    found = address("http://127.0.0.1:8000/base", "completions")
    assert found == Address(
        host="127.0.0.1", peer="127.0.0.1", port=8000, tls=False, path="/base/v1/completions"
    )
    assert address("https://127.0.0.1", "chat").port == 443


@pytest.mark.parametrize("url", ["ftp://x", "nonsense", "http://", "http://a:b@127.0.0.1"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(InvalidInput, match="http"):
        address(url, "chat")


def test_a_name_without_an_address_is_unavailable():
    with pytest.raises(Unavailable, match=r"nowhere\.invalid"):
        address("http://nowhere.invalid", "chat")


def test_requests_are_dealt_out_in_turn_and_none_is_lost():
    arrivals = [Arrival(at=float(place), tokens_in=1, tokens_out=1) for place in range(7)]
    made = tasks(Wish(plan=plan(workers=3), arrivals=arrivals, scale=Scale(), key="secret"))
    assert [[job.index for job in task.jobs] for task in made] == [[0, 3, 6], [1, 4], [2, 5]]
    assert {task.key for task in made} == {"secret"}


def test_clients_of_a_closed_loop_are_dealt_out_whole():
    arrivals = [Arrival(at=0.0, tokens_in=1, tokens_out=1)] * 9
    asked = plan(workers=2, clients=5, requests=11)
    made = tasks(Wish(plan=asked, arrivals=arrivals, scale=Scale(), key=""))
    assert [(task.clients, task.count) for task in made] == [(3, 6), (2, 5)]


def test_a_worker_makes_the_same_requests_from_its_task_each_time():
    arrivals = [Arrival(at=0.0, tokens_in=30, tokens_out=2)]
    (task,) = tasks(Wish(plan=plan(), arrivals=arrivals, scale=Scale(), key="k"))
    assert maker(task).make(task.jobs[0]) == maker(task).make(task.jobs[0])


def test_messages_go_over_a_pipe_with_their_length():
    data = frame(Ready(7))
    assert int.from_bytes(data[:4], "big") == len(data) - 4


def test_a_harvest_adds_up_its_workers():
    harvest = Harvest(workers=2)
    for number, flight in ((0, 3), (1, 4), (0, 5)):
        report = Report(rows=[ANSWERED], sent=9, flight=flight, waiting=1, lags=[0.1], cpu=0.5)
        harvest.add(number, report)
    assert (harvest.sent, harvest.flight, harvest.waiting) == (18, 9, 2)
    assert (len(harvest.rows), len(harvest.lags)) == (3, 3)


def test_a_result_names_neither_key_nor_prompt():
    wish = Wish(plan=plan(), arrivals=[], scale=Scale(asked=True), key="lit-sk-hidden")
    harvest = Harvest(workers=1, rows=[ANSWERED] * 3)
    found = result(wish, harvest, conditions=conditions(Scale()), began=Micros(5))
    assert "lit-sk-hidden" not in repr(found)
    assert found.counts.answered == 3
    assert found.conditions.cores >= 1


def test_an_embedding_has_no_length_of_its_answer():
    made = work(plan(endpoint="embeddings", stream=False), Scale())
    assert body(made, "x", tokens_out=5) == {"model": "m", "input": "x"}


def test_a_task_holds_the_key_and_a_row_does_not():
    assert "key" in Task.__struct_fields__
    assert "key" not in Row.__struct_fields__
