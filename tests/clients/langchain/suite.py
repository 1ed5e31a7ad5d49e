"""What LangChain asks of a chat model and of embeddings, on langchain-openai and this service."""

import os

from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests

BASE = f"{os.environ['LITTORAL_TEST_URL']}/v1"
KEY = os.environ["LITTORAL_TEST_KEY"]
MODEL = os.environ["LITTORAL_TEST_MODEL"]


class TestChat(ChatModelIntegrationTests):
    @property
    def chat_model_class(self):
        return ChatOpenAI

    @property
    def chat_model_params(self):
        return {
            "model": MODEL,
            "base_url": BASE,
            "api_key": KEY,
            "stream_usage": True,
            "max_retries": 0,
        }

    @property
    def supports_json_mode(self):
        return True

    @property
    def supports_image_inputs(self):
        return True

    @property
    def has_tool_choice(self):
        return True


class TestEmbeddings(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self):
        return OpenAIEmbeddings

    @property
    def embedding_model_params(self):
        return {
            "model": MODEL,
            "base_url": BASE,
            "api_key": KEY,
            "max_retries": 0,
            "check_embedding_ctx_length": False,
        }
