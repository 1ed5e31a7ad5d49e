"""Each driver of an engine, ready to be launched."""

from collections.abc import AsyncGenerator

import pytest

from contract.driven import (
    CHATTING,
    DRIVERS,
    EMBEDDING,
    HEARING,
    RANKING,
    REAL,
    TOKENIZING,
    Driven,
)

EVERY = [
    pytest.param(name, marks=pytest.mark.slow) if name in REAL else name for name in sorted(DRIVERS)
]


@pytest.fixture(params=EVERY)
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


@pytest.fixture(params=HEARING)
async def hearing(request: pytest.FixtureRequest, tmp_path) -> AsyncGenerator[Driven]:
    async with DRIVERS[request.param](tmp_path) as driven:
        yield driven
