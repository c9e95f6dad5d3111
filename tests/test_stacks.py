"""Where tasks wait is told down to the innermost line, and nothing else is told."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from entity_stream.stacks import stacks

pytestmark = pytest.mark.asyncio

SECRET = "what a document says"  # noqa: S105 (of these tests)


async def innermost(text: str) -> None:
    await asyncio.Event().wait()
    assert text


async def plainly(text: str) -> None:
    await innermost(text)


async def in_a_loop(text: str) -> None:
    async def pieces() -> AsyncIterator[str]:
        await innermost(text)
        yield text

    async for _ in pieces():
        pass


async def at_a_door(text: str) -> None:
    @asynccontextmanager
    async def door() -> AsyncIterator[str]:
        await innermost(text)
        yield text

    async with door():
        await asyncio.sleep(0)


@pytest.mark.parametrize("way", [plainly, in_a_loop, at_a_door])
async def test_the_innermost_line_is_told(way: Callable[[str], Coroutine[Any, Any, None]]) -> None:
    """However somebody came to wait where they do: by a call, a loop or a context, all frames between are told."""
    waiting = asyncio.create_task(way(SECRET), name="the one")
    await asyncio.sleep(0)
    [frames] = [frames for frames, tasks in stacks().items() if tasks == ["the one"]]
    waiting.cancel()
    functions = [frame.rpartition(" in ")[2] for frame in frames]
    assert functions[0] == way.__name__
    assert "innermost" in functions
    assert functions[-1] == "Event.wait"
    assert all(SECRET not in frame for frame in frames)
    line = innermost.__code__.co_firstlineno + 1
    assert f"{__file__}:{line} in innermost" in frames


async def test_those_who_wait_at_one_place_are_told_together() -> None:
    """A window full of jobs is one stack and their names, not a page each."""
    waiting = [asyncio.create_task(plainly(SECRET), name=f"job-{number}") for number in range(64)]
    await asyncio.sleep(0)
    told = [tasks for tasks in stacks().values() if "job-0" in tasks]
    for task in waiting:
        task.cancel()
    assert told == [sorted(f"job-{number}" for number in range(64))]
