"""Each driver of an engine, ready to be launched."""

from collections.abc import AsyncGenerator

import pytest

from contract.driven import CHATTING, DRIVERS, EMBEDDING, RANKING, TOKENIZING, Driven


@pytest.fixture(params=sorted(DRIVERS))
async def driven(request: pytest.FixtureRequest, tmp_path) -> AsyncGenerator[Driven]:
    async with DRIVERS[request.param](tmp_path) as driven:
        yield driven


@pytest.fixture(params=CHATTING)
async def chatting(request: pytest.FixtureRequest, tmp_path) -> AsyncGenerator[Driven]:
    async with DRIVERS[request.param](tmp_path) as driven:
        yield driven


@pytest.fixture(params=EMBEDDING)
async def embedding(request: pytest.FixtureRequest, tmp_path) -> AsyncGenerator[Driven]:
    async with DRIVERS[request.param](tmp_path) as driven:
        yield driven


@pytest.fixture(params=RANKING)
async def ranking(request: pytest.FixtureRequest, tmp_path) -> AsyncGenerator[Driven]:
    async with DRIVERS[request.param](tmp_path) as driven:
        yield driven


@pytest.fixture(params=TOKENIZING)
async def tokenizing(request: pytest.FixtureRequest, tmp_path) -> AsyncGenerator[Driven]:
    async with DRIVERS[request.param](tmp_path) as driven:
        yield driven
