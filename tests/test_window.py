"""The window: places for jobs, those of earlier lives and of owners out of reach counted as they should be."""

import asyncio

import pytest

from entity_stream.window import OPENING, Window
from tests import virtual_time


def entered(size: int, taken: int, inherited: int, stranded: int) -> bool:
    """Tell whether one more finds a place at once where so many are taken."""

    async def main() -> bool:
        away = [0]
        window = Window(size, lambda: away[0])
        for _ in range(taken):
            await window.enter()
        for _ in range(inherited):
            window.inherit()
        away[0] = stranded
        entering = asyncio.create_task(window.enter())
        await asyncio.sleep(0.1)
        entering.cancel()
        return entering.done()

    return virtual_time.run(main())


@pytest.mark.parametrize(
    ("taken", "inherited", "stranded", "room"),
    [
        (3, 0, 0, True),
        (4, 0, 0, False),
        (4, 0, 1, True),
        (2, 2, 0, False),
        (0, 50, 0, True),
        (1, 50, 0, False),
        (1, 50, 48, True),
        (4, 50, 50, False),
        (4, 50, 54, True),
    ],
)
def test_who_finds_a_place(*, taken: int, inherited: int, stranded: int, room: bool) -> None:
    """Of four places one is always left to new jobs; who is stranded has left his, if another can work there."""
    assert entered(4, taken, inherited, stranded) is room


def test_whoever_waits_finds_out_that_jobs_are_stranded() -> None:
    """That an owner is out of reach has no event; it is looked at now and then."""

    async def main() -> None:
        away = [0]
        window = Window(1, lambda: away[0])
        await window.enter()
        entering = asyncio.create_task(window.enter())
        await asyncio.sleep(5)
        assert not entering.done()
        away[0] = 1
        await asyncio.sleep(1)
        assert entering.done()

    virtual_time.run(main())


def test_places_open_one_after_another() -> None:
    """A backlog finds them open in turn; who comes later, or takes the place of another, waits for nothing more."""

    async def main() -> list[float]:
        loop, entered = asyncio.get_running_loop(), []
        window = Window(4, lambda: 0)

        async def enter() -> None:
            await window.enter()
            entered.append(loop.time())

        for _ in range(3):
            await enter()
        window.leave()
        await enter()
        await asyncio.sleep(1)
        await enter()
        for _ in range(2):
            entering = asyncio.create_task(enter())
            await asyncio.sleep(0.001)
            window.leave()
            await entering
        return entered

    first, *others = virtual_time.run(main())
    expected = [OPENING, 2 * OPENING, 2 * OPENING, 2 * OPENING + 1, 2 * OPENING + 1.001, 2 * OPENING + 1.002]
    assert [each - first for each in others] == pytest.approx(expected, abs=1e-4)
