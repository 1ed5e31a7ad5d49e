"""What comes back from the store: pages, and events from any number on."""

import json

from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.ids import KeyId, ProjectId
from littoral.domain.response import StoredResponse
from littoral.domain.units import Micros
from littoral.gateway.dialect.responses import kept
from littoral.gateway.dialect.responses.wish import read


def stored(count):
    return StoredResponse(
        id="resp_1",
        project=ProjectId("p"),
        key=KeyId("k"),
        created_us=Micros(1),
        expires_us=Micros(2),
        status="completed",
        input=json.dumps([{"id": f"i{at}"} for at in range(count)]).encode(),
    )


@given(count=st.integers(0, 30), limit=st.integers(1, 7), order=st.sampled_from(["asc", "desc"]))
def test_pages_together_are_all_items_once_and_in_order(count, limit, order):
    whole = stored(count)
    query, seen = {"limit": str(limit), "order": order}, []
    while True:
        page = json.loads(kept.page_of(whole, query))
        seen += [item["id"] for item in page["data"]]
        if not page["has_more"]:
            break
        query["after"] = page["last_id"]
    expected = [f"i{at}" for at in range(count)]
    assert seen == (expected if order == "asc" else expected[::-1])


@given(count=st.integers(0, 12), first=st.integers(0, 14), cut=st.integers(0, 12))
def test_events_from_a_number_on_are_those_whole_and_once_however_they_are_cut(count, first, cut):
    events = [
        b'event: x\ndata: {"type":"x","sequence_number":%d,"delta":"\\"sequence_number\\":9"}\n\n'
        % n
        for n in range(count)
    ]
    out, following = b"", first
    for piece in (b"".join(events[:cut]), b"".join(events[cut:]), b"data: [DONE]\n\n"):
        kept_, following = kept.numbers_from(piece, following)
        out += kept_
    assert out == b"".join(events[first:]) + b"data: [DONE]\n\n"
    assert following == max(first, count)


TEXTS = st.text(st.characters(codec="utf-8"), max_size=5)
ITEMS = st.lists(
    st.one_of(
        st.builds(lambda text: {"role": "user", "content": text}, TEXTS),
        st.builds(
            lambda text: {"type": "function_call_output", "call_id": "c", "output": text}, TEXTS
        ),
        st.builds(
            lambda text: {
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": text}],
            },
            TEXTS,
        ),
    ),
    min_size=1,
    max_size=5,
)


@given(given_=TEXTS | ITEMS)
def test_what_is_stored_of_an_input_is_that_input_with_ids_of_their_own(given_):
    wish, _ = read(json.dumps({"model": "m", "input": given_}).encode())
    items = json.loads(kept.input_of(wish, "n"))
    assert len({item["id"] for item in items}) == len(items)
    assert all(item["type"] and item["status"] == "completed" for item in items)
    told = [{"role": "user", "content": given_}] if isinstance(given_, str) else given_
    for item, one in zip(items, told, strict=True):
        if "content" in one:
            assert [part["text"] for part in item["content"]] == [one["content"]]
        else:
            assert {name: item[name] for name in one} == one


def test_an_item_that_has_an_id_keeps_it_and_what_the_assistant_said_is_output():
    said = {"role": "assistant", "content": "yes", "id": "msg_9", "status": "incomplete"}
    wish, _ = read(json.dumps({"model": "m", "input": [said]}).encode())
    (item,) = json.loads(kept.input_of(wish, "n"))
    assert (item["id"], item["status"]) == ("msg_9", "incomplete")
    assert item["content"] == [{"type": "output_text", "text": "yes", "annotations": []}]
