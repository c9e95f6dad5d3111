"""Where every task waits: files, lines and functions, for the log of a service that has stalled. Never a value."""

import asyncio
import gc
from collections import defaultdict
from collections.abc import Iterator
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType


def stacks() -> dict[tuple[str, ...], list[str]]:
    """Name the tasks of the running loop by where they wait; the innermost frame comes last."""
    tasks = defaultdict(list)
    for task in asyncio.all_tasks():
        tasks[tuple(_frames(task.get_coro()))].append(task.get_name())
    return {frames: sorted(names) for frames, names in tasks.items()}


def _frames(awaited: object) -> Iterator[str]:
    """Follow who awaits whom; asyncio's own `Task.get_stack` ends at the outermost."""
    while awaited is not None:
        frame, awaited = _step(awaited)
        if frame is not None:
            yield f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"


def _step(awaited: object) -> tuple[FrameType | None, object]:
    """Say where something waits, and for what."""
    match awaited:
        case CoroutineType():
            return awaited.cr_frame, awaited.cr_await
        case AsyncGeneratorType():
            return awaited.ag_frame, awaited.ag_await
        case GeneratorType():
            return awaited.gi_frame, awaited.gi_yieldfrom
    # `async for` awaits a wrapper that tells nobody of its generator but the garbage collector
    inside = (each for each in gc.get_referents(awaited) if isinstance(each, CoroutineType | AsyncGeneratorType))
    return None, next(inside, None)
