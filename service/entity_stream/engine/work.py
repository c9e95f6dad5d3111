"""Workers: processes that run the model, one job after another; when one dies, another takes its place.

A process begins by importing this module and all that it needs, so nothing in here knows of HTTP.
"""

import asyncio
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from entity_stream.engine.crf import Model
from entity_stream.engine.jobs import Job, pack_answers, unpack_work
from entity_stream.engine.recognition import recognise

logger = logging.getLogger(__name__)


class Worker:
    """One process, or thread, with a model of its own; when it dies, another takes its place."""

    def __init__(self, hire: Callable[[], Executor]) -> None:
        self._hire = hire
        self._executor = hire()

    async def ready(self) -> None:
        """Return when the model is loaded."""
        await asyncio.get_running_loop().run_in_executor(self._executor, _is_loaded)

    async def read(self, job: Job) -> bytes | None:
        """Do a job; None when it cannot be done, or killed the worker."""
        reading = self._begin(job.work)
        await asyncio.wait([reading])
        error = reading.exception()
        if error is None:
            return reading.result()
        # its message may quote a text
        logger.error("job %s failed: %s", job.id, type(error).__name__)
        return None

    async def close(self) -> None:
        """Return when the worker has ended; the job that it is doing ends first."""
        await asyncio.to_thread(self._executor.shutdown)

    def _begin(self, work: bytes) -> asyncio.Future[bytes]:
        loop = asyncio.get_running_loop()
        try:
            return loop.run_in_executor(self._executor, _read, work)
        except BrokenExecutor:  # it died at an earlier job, or with nothing to do
            self._executor.shutdown(wait=False)
            self._executor = self._hire()
            return loop.run_in_executor(self._executor, _read, work)


@asynccontextmanager
async def staffed(
    work: Callable[[Worker], Coroutine[Any, Any, None]], model: Path, workers: int
) -> AsyncIterator[None]:
    """Have so many processes, and each at `work`, until the block ends; 0: a thread of this process."""
    if workers:
        spawn = multiprocessing.get_context("spawn")
        hire: Callable[[], Executor] = partial(ProcessPoolExecutor, 1, spawn, _begin_process, (model,))
    else:
        hire = partial(ThreadPoolExecutor, 1, "reader", _load, (model,))
    staff = [Worker(hire) for _ in range(max(workers, 1))]
    try:
        await _together(worker.ready() for worker in staff)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work(worker)) for worker in staff]
            yield
            for task in tasks:
                task.cancel()
    finally:
        await _together(worker.close() for worker in staff)


async def _together(steps: Iterable[Coroutine[Any, Any, None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for step in steps:
            group.create_task(step)


_own = threading.local()
"""The model of the thread that works: a model is not for two at a time."""


def _load(path: Path) -> None:
    _own.model = Model.load(path)


def _begin_process(path: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; only the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _load(path)


def _end_with_parent() -> None:
    """End when the parent is gone, however it went: nobody else would tell an idle worker."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _is_loaded() -> bool:
    return hasattr(_own, "model")


def _read(work: bytes) -> bytes:
    return pack_answers(recognise(_own.model, unpack_work(work)))
