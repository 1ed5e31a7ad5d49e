"""The unmodified openai client against a real site."""

import openai
import pytest

MESSAGES = [{"role": "user", "content": "hello there"}]


@pytest.fixture
def client(site):
    """The client as its users make it, retries off."""
    site.deploy("echo", engine="fake", model="echo")
    base = f"http://127.0.0.1:{site.port}/v1"
    with openai.OpenAI(base_url=base, api_key=site.key, max_retries=0) as it:
        yield it


def test_it_lists_chats_and_streams_with_usage(client):
    """The three things every user does first."""
    assert [m.id for m in client.models.list()] == ["echo"]
    assert client.models.retrieve("echo").id == "echo"
    whole = client.chat.completions.create(model="echo", messages=MESSAGES)
    assert whole.choices[0].message.content == "echo: hello there"
    assert whole.model == "echo"
    chunks = list(
        client.chat.completions.create(
            model="echo", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "echo: hello there"
    assert chunks[-1].usage == whole.usage
    assert client.completions.create(model="echo", prompt="once").choices[0].text


def test_without_the_option_no_chunk_carries_usage(client):
    """Only who asks for usage gets the extra chunk."""
    chunks = client.chat.completions.create(model="echo", messages=MESSAGES, stream=True)
    assert all(c.usage is None and c.choices for c in chunks)


def test_errors_are_its_own_exception_types(client, site):
    """400, 401, 404 and 429 arrive as the classes that users catch."""
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model="echo", messages=MESSAGES, temperature=99)
    assert "temperature" in bad.value.message
    with pytest.raises(openai.NotFoundError) as absent:
        client.chat.completions.create(model="nope", messages=MESSAGES)
    assert "echo" in absent.value.message
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="lit-sk-wrong").models.list()
    status, made = site.request(
        "POST",
        "/api/v1/keys",
        {"name": "slow", "scopes": ["infer"], "limits": {"requests_per_minute": 1}},
    )
    assert status in {200, 201}
    limited = client.with_options(api_key=made["secret"])
    site.wait_for(lambda: works(limited), "the new key to reach the gateway")
    limited.chat.completions.create(model="echo", messages=MESSAGES)
    with pytest.raises(openai.RateLimitError) as refused:
        limited.chat.completions.create(model="echo", messages=MESSAGES)
    assert int(refused.value.response.headers["retry-after"]) >= 1


def works(client) -> bool:
    """Whether the key is known yet; listing models does not count as a request."""
    try:
        client.models.list()
    except openai.AuthenticationError:
        return False
    return True
