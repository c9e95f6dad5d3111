"""The way into one partition of a topic: what comes while a batch is under way goes in together with the next.

Whoever settles has few messages for each of many partitions, and a batch costs about as much whatever is in it. A batch
is acknowledged before the next is sent. Who is cancelled before it is sent takes his messages along.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import takewhile
from typing import TypeAlias

from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder

from entity_stream.core.messages import Message

Permitted: TypeAlias = Callable[[], Awaitable[bool]]
"""Tells whether messages are still ours to publish."""

Refusal: TypeAlias = KafkaError | None
"""Why a batch will never be taken, if that is so."""

Ended: TypeAlias = tuple[Refusal, bool]
"""How a batch ended, and whether several were in it."""


class Outcast(Exception):
    """The group goes on without us: what we would publish, the new owner of the partition publishes too."""


class _Load:
    """What one sender has for the partition."""

    def __init__(self, messages: Sequence[Message], permitted: Permitted, *, alone: bool = False) -> None:
        self.messages, self.permitted, self.alone = messages, permitted, alone
        self.count = 0  # of the messages, in its batch
        self.ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()  # that batch


class Chute:
    """One batch at a time; senders that wait share the next."""

    def __init__(
        self, new_batch: Callable[[], BatchBuilder], send: Callable[[BatchBuilder], Awaitable[Refusal]]
    ) -> None:
        """Have `send` return once a batch is acknowledged or refused. What it raises, all hear that were in it."""
        self._new_batch, self._send = new_batch, send
        self._waiting: list[_Load] = []
        self._under_way: list[_Load] = []
        self._sending: asyncio.Task[Ended] | None = None

    async def put(self, messages: Sequence[Message], permitted: Permitted) -> tuple[int, Refusal]:
        """Send as many messages as there is room for, one at least; return their number, and why these were refused.

        Raises Outcast when it is not permitted any more right before they would be sent. Whose messages are refused
        together with others' sends them again alone.
        """
        load = _Load(messages, permitted)
        refusal, company = await self._through(load)
        if refusal and company:
            load = _Load(messages, permitted, alone=True)
            refusal, _ = await self._through(load)
        return load.count, refusal

    async def _through(self, load: _Load) -> Ended:
        """Have a load in a batch, and wait for the end of that."""
        self._waiting.append(load)
        if self._sending is None:
            self._begin()
        try:
            return await load.ended
        except asyncio.CancelledError:
            self._withdraw(load)
            raise

    def _withdraw(self, load: _Load) -> None:
        """Leave; a batch for which nobody waits any more is waited for no longer."""
        if load in self._waiting:
            self._waiting.remove(load)
        elif load in self._under_way:
            self._under_way.remove(load)
            if self._sending and not self._under_way:
                self._sending.cancel()

    def _begin(self) -> None:
        self._sending = asyncio.create_task(self._send_next())
        self._sending.add_done_callback(self._end)

    async def _send_next(self) -> Ended:
        """Fill a batch, and see last of all that it may be sent: the process can be stopped, and woken, at any time."""
        if not self._waiting:  # whoever began it has left
            return None, False
        self._step_in()
        batch = self._fill()
        while loads := list(self._under_way):
            if not await loads[0].permitted():
                raise Outcast
            if not any(load.ended.done() for load in loads):
                return await self._send(batch), len(loads) > 1
            batch = self._fill()  # to see that took a while: some have left, and taken along what is theirs
        return None, False

    def _step_in(self) -> None:
        """Have all go that wait, in turn; who was refused in company goes alone."""
        first, *others = self._waiting
        company = [] if first.alone else list(takewhile(lambda load: not load.alone, others))
        self._under_way, self._waiting = [first, *company], others[len(company) :]

    def _fill(self) -> BatchBuilder:
        """Fill a batch, but for those that have left meanwhile; for whom there is no room is the first to go next."""
        batch, loads = self._new_batch(), [load for load in self._under_way if not load.ended.done()]
        for load in loads:
            load.count = _put_in(batch, load.messages)
        self._under_way = [load for load in loads if load.count]
        self._waiting[:0] = [load for load in loads if not load.count]
        return batch

    def _end(self, sent: "asyncio.Task[Ended]") -> None:
        """Tell all that were in a batch how it ended, and begin the next."""
        error = None if sent.cancelled() else sent.exception()
        loads, self._under_way, self._sending = self._under_way, [], None
        for load in loads:
            if sent.cancelled():
                load.ended.cancel()
            elif load.ended.done():
                continue
            elif error:
                load.ended.set_exception(error)
            else:
                load.ended.set_result(sent.result())
        if self._waiting:
            self._begin()


def _put_in(batch: BatchBuilder, messages: Sequence[Message]) -> int:
    """Put as many messages into a batch as it takes, which is none once it was full; return their number."""
    for count, message in enumerate(messages):
        if not batch.append(timestamp=None, key=message.key, value=message.value, headers=list(message.headers)):
            return count
    return len(messages)
