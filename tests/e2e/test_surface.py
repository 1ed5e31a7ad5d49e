"""The unmodified openai client, and plain requests where it has no method, over every endpoint."""

import openai
import pytest


@pytest.fixture
def client(lasting):
    """The client as its users make it, retries off."""
    base = f"http://127.0.0.1:{lasting.port}/v1"
    with openai.OpenAI(base_url=base, api_key=lasting.key, max_retries=0) as it:
        yield it


def test_embeddings_are_the_same_in_both_encodings(client):
    """The client asks for base64 unless told otherwise, and decodes it."""
    packed = client.embeddings.create(model="echo", input=["a", "b"], dimensions=8)
    floats = client.embeddings.create(
        model="echo", input=["a", "b"], dimensions=8, encoding_format="float"
    )
    assert [each.embedding for each in packed.data] == [each.embedding for each in floats.data]
    assert len(packed.data[1].embedding) == 8
    assert packed.usage.prompt_tokens == 2
    single = client.embeddings.create(model="echo", input="a", dimensions=8)
    assert single.data[0].embedding == packed.data[0].embedding


def test_documents_are_ranked_in_both_shapes(lasting):
    """Jina's names and Cohere's."""
    body = {"model": "echo", "query": "sea", "documents": ["a hill", "the sea"], "top_n": 1}
    status, jina = lasting.request("POST", "/v1/rerank", body)
    assert status == 200
    assert jina["results"][0]["document"] == {"text": "the sea"}
    status, cohere = lasting.request("POST", "/v2/rerank", body)
    assert status == 200
    assert cohere["results"][0]["index"] == 1
    assert cohere["meta"]["api_version"] == {"version": "2"}


def test_pairs_are_scored_and_tokens_go_there_and_back(lasting):
    """vLLM's shapes."""
    body = {"model": "echo", "text_1": "sea", "text_2": ["sea", "hill"]}
    status, told = lasting.request("POST", "/v1/score", body)
    assert (status, [each["score"] for each in told["data"]]) == (200, [1.0, 0.0])
    status, told = lasting.request("POST", "/tokenize", {"model": "echo", "prompt": "云岸 here"})
    assert (status, told["count"]) == (200, 3)
    body = {"model": "echo", "tokens": told["tokens"]}
    assert lasting.request("POST", "/detokenize", body) == (200, {"prompt": "云岸 here"})


def test_an_input_that_is_too_long_is_a_400_and_names_why(client):
    """One input must fit the context; their sum need not."""
    with pytest.raises((openai.BadRequestError, openai.UnprocessableEntityError), match="context"):
        client.embeddings.create(model="echo", input="word " * 20_000)
    assert client.embeddings.create(model="echo", input=["word " * 2_000] * 20).data


SOUND = ("sound.mp3", b"x" * 16_000)


def test_sound_is_written_down_in_every_format(client):
    """JSON with usage, words with times, text and both kinds of subtitles."""
    told = client.audio.transcriptions.create(model="echo", file=SOUND)
    assert told.text.startswith("heard 1.00 seconds of sound")
    assert (told.usage.type, told.usage.input_tokens) == ("tokens", 10)
    verbose = client.audio.transcriptions.create(
        model="echo",
        file=SOUND,
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert (verbose.duration, len(verbose.segments)) == (1.0, 2)
    assert verbose.words[-1].end == 1.0
    formats = {
        each: client.audio.transcriptions.create(model="echo", file=SOUND, response_format=each)
        for each in ("text", "srt", "vtt")
    }
    assert formats["text"] == told.text + "\n"
    assert formats["srt"].startswith("1\n00:00:00,000 --> 00:00:00,667\nheard 1.00 seconds of\n\n")
    assert formats["vtt"].startswith("WEBVTT\n\n")
    with pytest.deprecated_call():
        translated = client.audio.translations.create(model="echo", file=SOUND)
    assert translated.text.startswith("translated")


def test_a_transcript_streams(client):
    """Deltas, then the whole with what was used."""
    events = list(client.audio.transcriptions.create(model="echo", file=SOUND, stream=True))
    assert "".join(each.delta for each in events[:-1]) == events[-1].text
    assert events[-1].usage.output_tokens == 9


def test_text_is_spoken_and_heard_again(client):
    """A real WAV comes out; what the engine has not is refused with what it has."""
    with client.audio.speech.with_streaming_response.create(
        model="echo", voice="alloy", input="x" * 80, response_format="wav"
    ) as said:
        assert said.headers["content-type"] == "audio/wav"
        data = said.read()
    told = client.audio.transcriptions.create(model="echo", file=("a.wav", data))
    assert told.text.startswith("heard 1.00 seconds")
    with pytest.raises(openai.BadRequestError, match="wav, pcm"):
        client.audio.speech.create(model="echo", voice="alloy", input="hi")
    with client.audio.speech.with_streaming_response.create(
        model="echo", voice="alloy", input="hi", response_format="pcm", stream_format="sse"
    ) as said:
        lines = [line for line in said.iter_lines() if line]
    assert "speech.audio.done" in lines[-2]
    assert lines[-1] == "data: [DONE]"


def test_a_file_of_25_mebibytes_is_taken_and_one_over_is_not(client):
    """The limit is this route's own."""
    size = 25 * 1024 * 1024
    told = client.audio.transcriptions.create(model="echo", file=("a.mp3", bytes(size)))
    assert told.text.startswith("heard 1638.40 seconds")
    with pytest.raises((openai.APIStatusError, openai.APIConnectionError)) as refused:
        client.audio.transcriptions.create(model="echo", file=("a.mp3", bytes(size + 70_000)))
    if isinstance(refused.value, openai.APIStatusError):
        assert refused.value.status_code == 413


def test_texts_are_moderated_by_an_engine_made_for_it(client):
    """Categories with slashes in their names."""
    told = client.moderations.create(model="echo", input=["kind words", "graphic violence"])
    assert [each.flagged for each in told.results] == [False, True]
    assert told.results[1].categories.violence_graphic
    assert not told.results[1].categories.hate_threatening
    assert told.results[1].category_scores.violence > 0.5


def test_questions_of_each_kind_are_decided(client):
    """The sampler takes the first option each time, with a log probability of -0.1."""
    told = client.decisions.create(
        model="echo",
        input="The sea is calm today.",
        questions=[
            {"type": "predicate", "instructions": "The sea is calm.", "name": "calm"},
            {
                "type": "choice",
                "instructions": "Which colour?",
                "choices": [{"value": True}, {"value": "grey", "description": "as lead"}],
            },
            {
                "type": "score",
                "instructions": "How wild?",
                "levels": [{"label": "calm"}, {"label": "wild"}, {"label": "storm"}],
            },
        ],
    )
    predicate, choice, score = told.answers
    assert (predicate.type, predicate.name) == ("predicate", "calm")
    assert predicate.probability == pytest.approx(0.905, abs=1e-3)
    assert choice.choice is True
    assert sum(each.probability for each in choice.probabilities) == pytest.approx(1.0)
    assert score.score == pytest.approx(0.143, abs=1e-3)
    assert [each.value for each in score.probabilities] == [0, 1, 2]
    assert told.usage.total_tokens == told.usage.input_tokens + told.usage.output_tokens
