"""pydantic-ai: an agent with a tool, an answer of a type, a stream, over chat and responses."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from cases import KEY, MODEL, URL, Cases, expect
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

case = Cases()
PROVIDER = OpenAIProvider(base_url=f"{URL}/v1", api_key=KEY)
MODELS = {
    "chat": OpenAIChatModel(MODEL, provider=PROVIDER),
    "responses": OpenAIResponsesModel(MODEL, provider=PROVIDER),
}


class Fact(BaseModel):
    city: str
    people: int


def asked(model):
    told = []
    agent = Agent(model)

    @agent.tool_plain
    def weather(city: str) -> str:
        """The weather of a city."""
        told.append(city)
        return "sunny"

    answer = agent.run_sync("the weather?")
    expect(told, "the tool was not run")
    expect(answer.output, "no answer after the tool's result")
    expect(answer.usage.output_tokens > 0, "no usage")


@case
def an_agent_with_a_tool_over_chat():
    asked(MODELS["chat"])


@case
def an_agent_with_a_tool_over_responses():
    asked(MODELS["responses"])


@case
def an_answer_of_a_type():
    expect(
        isinstance(Agent(MODELS["chat"], output_type=Fact).run_sync("a city").output, Fact), "type"
    )


@case
def a_stream():
    answer = Agent(MODELS["chat"]).run_stream_sync("hello there")
    expect("".join(answer.stream_text(delta=True)), "no text")


sys.exit(case.run())
