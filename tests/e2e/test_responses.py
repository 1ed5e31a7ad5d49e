"""Stored and background responses with the unmodified client, while processes die."""

import itertools

import openai
import pytest

SLOW = "[[slow=100]] " + "word " * 25


@pytest.fixture
def client(site):
    """The client as its users make it, retries off."""
    site.deploy("echo", engine="fake", model="echo", options={"directives": True})
    base = f"http://127.0.0.1:{site.port}/v1"
    with openai.OpenAI(base_url=base, api_key=site.key, max_retries=0, timeout=10) as it:
        yield it


def begin(client, site):
    """A response in the background that an engine is answering."""
    begun = client.responses.create(model="echo", input=SLOW, background=True)
    assert begun.status == "queued"
    site.wait_for(lambda: see(client, begun.id) == "in_progress", "the run to begin")
    return begun.id


def see(client, name):
    """Its status; nothing while nobody answers."""
    try:
        return client.responses.retrieve(name).status
    except (openai.APIConnectionError, openai.InternalServerError):
        return None


def end(client, site, name):
    """Wait for its end."""
    ended = {"completed", "failed", "cancelled", "incomplete"}
    site.wait_for(lambda: see(client, name) in ended, f"{name} to end")
    return client.responses.retrieve(name)


def test_the_whole_life_of_stored_responses(client):
    """Create, retrieve, list the input, continue, stream, parse, delete."""
    first = client.responses.create(model="echo", input="my name is Li", store=True)
    assert first.output_text == "echo: my name is Li"
    assert client.responses.retrieve(first.id) == first
    (item,) = client.responses.input_items.list(first.id).data
    assert item.content[0].text == "my name is Li"
    more = client.responses.create(model="echo", input="and?", previous_response_id=first.id)
    assert (
        more.usage.input_tokens
        > client.responses.create(model="echo", input="and?").usage.input_tokens
    )
    with client.responses.stream(model="echo", input="streamed", store=True) as stream:
        events = [event.type for event in stream]
        final = stream.get_final_response()
    assert events[0] == "response.created"
    assert events[-1] == "response.completed"
    assert client.responses.retrieve(final.id).output_text == final.output_text == "echo: streamed"
    client.responses.delete(first.id)
    for gone in (first.id, more.id, "resp_never"):
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(gone)


def test_another_project_sees_nothing_of_them(client, site):
    """Neither shows, continues, cancels nor deletes them."""
    kept = client.responses.create(model="echo", input="secret", store=True)
    document = {"kind": "Project", "metadata": {"name": "away"}, "spec": {}}
    assert site.request("POST", "/api/v1/apply", {"documents": [document]})[0] == 200
    body = {"name": "stranger", "scopes": ["infer"], "project": "away"}
    status, made = site.request("POST", "/api/v1/keys", body)
    assert status in {200, 201}
    stranger = client.with_options(api_key=made["secret"])
    site.wait_for(lambda: site.answers("/v1/models", key=made["secret"]), "the key to be known")
    for attempt in (
        lambda: stranger.responses.retrieve(kept.id),
        lambda: stranger.responses.cancel(kept.id),
        lambda: stranger.responses.delete(kept.id),
        lambda: stranger.responses.input_items.list(kept.id),
        lambda: stranger.responses.create(model="echo", input="x", previous_response_id=kept.id),
    ):
        with pytest.raises(openai.NotFoundError):
            attempt()
    assert client.responses.retrieve(kept.id) == kept


def test_cancelling_stops_the_engine_and_books_what_was_used(client, site):
    """The row is cancelled at once; the ledger has one cancelled record, of few tokens."""
    mine = client.with_options(api_key=site.load_key())
    name = begin(mine, site)
    assert mine.responses.cancel(name).status == "cancelled"
    assert mine.responses.cancel(name).status == "cancelled"
    assert mine.responses.retrieve(name).status == "cancelled"
    (row,) = site.ledger()
    assert row["status"] == "cancelled"
    assert row["tokens_out"] < 20


def test_a_client_may_leave_a_stream_in_the_background_and_join_it_again(client):
    """The events go on from the number after the last one it had."""
    stream = client.responses.create(
        model="echo", input="[[slow=20]] one two three", background=True, stream=True
    )
    with stream:
        seen = list(itertools.islice(stream, 5))
    rest = list(client.responses.retrieve(seen[0].response.id, stream=True, starting_after=4))
    assert [event.sequence_number for event in seen + rest] == list(range(len(seen) + len(rest)))
    assert rest[-1].type == "response.completed"
    assert rest[-1].response.output_text.strip() == "echo:  one two three"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("role", ["gateway", "node"])
def test_what_was_acknowledged_survives_a_kill(client, site, role):
    """Stored ones are there; those in the background are run again, each attempt booked.

    The last one is cut by the kill, or was answered before and is on disk, or was answered and is
    not on disk yet: then it is answered again, and both answers are booked.
    """
    client = client.with_options(api_key=site.load_key())
    kept = [client.responses.create(model="echo", input=f"n{n}", store=True) for n in range(5)]
    names = [begin(client, site) for _ in range(2)]
    queued = client.responses.create(model="echo", input="queued", background=True).id
    site.kill(role)
    ends = [end(client, site, name) for name in [*names, queued]]
    assert [(each.status, each.error) for each in ends] == [("completed", None)] * 3
    assert [client.responses.retrieve(each.id) for each in kept] == kept
    booked = [row["status"] for row in site.ledger()]
    answered, cut = booked.count("ok"), len(booked) - booked.count("ok")
    again = answered - (len(kept) + len(names) + 1)
    assert again >= 0
    assert cut >= len(names)
    assert again + cut <= len(names) + 1


@pytest.mark.timeout(120)
def test_a_stream_that_was_cut_by_a_kill_has_failed_and_says_why(client, site):
    """It is not run again: what it said cannot be taken back."""
    name = begin(client, site)
    stream = client.responses.create(model="echo", input=SLOW, background=True, stream=True)
    cut = next(iter(stream)).response.id
    next(iter(stream))
    site.kill("gateway")
    assert end(client, site, name).status == "completed"
    failed = end(client, site, cut)
    assert failed.status == "failed"
    assert "cannot be taken back" in failed.error.message
    with pytest.raises(openai.APIError, match="taken back"):
        list(client.responses.retrieve(cut, stream=True))


def refusal(client, **fields):
    """The status of asking for a response."""
    try:
        client.responses.create(model="echo", **fields)
    except openai.APIStatusError as error:
        return error.status_code
    return 200


@pytest.mark.timeout(120)
def test_a_full_store_refuses_and_keeps_serving(make_site):
    """Beyond its bound: 507, what is there stays, what is not to be stored is answered."""
    site = make_site(environ={"LITTORAL_RESPONSES_MIB": "1"})
    site.deploy("echo", engine="fake", model="echo", context=1_000_000)
    base = f"http://127.0.0.1:{site.port}/v1"
    long = "word " * 30_000
    with openai.OpenAI(base_url=base, api_key=site.key, max_retries=0) as client:
        kept = [client.responses.create(model="echo", input=long, store=True) for _ in range(2)]
        for fields in ({"store": True}, {"background": True}):
            assert 507 in [refusal(client, input=long, **fields) for _ in range(5)]
        assert client.responses.create(model="echo", input=long).status == "completed"
        assert client.responses.retrieve(kept[0].id).output_text == kept[0].output_text
        for each in kept:
            client.responses.delete(each.id)
        assert client.responses.create(model="echo", input="short", store=True).store
