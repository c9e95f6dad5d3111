"""Which stage a sample belongs to."""

from importlib import import_module

import pytest

from tests.bench.stages import REST, START, TABLE, by_stage, stage_of

OUTSIDE = ("entity_stream.pipeline:_carry", "asyncio.events:_run", "entity_stream.cli:main", "__main__:main")


@pytest.mark.parametrize("beginning", [beginning for beginning, _ in TABLE if ":" in beginning])
def test_the_table_names_functions_that_exist(beginning: str) -> None:
    """A function that is renamed must be renamed in the table, or its time would go to another stage."""
    module, _, name = beginning.partition(":")
    found = import_module(module)
    methods = [vars(each) for each in vars(found).values() if isinstance(each, type)]
    assert any(each.startswith(name) for names in (vars(found), *methods) for each in names)


@pytest.mark.parametrize(
    ("inside", "stage"),
    [
        (("aiohttp.http_writer:write", "httpx._client:send"), "submit and poll: aiohttp"),
        (("entity_stream.core.messages:_unfit", "entity_stream.core.messages:decode"), "read: decode documents"),
        (("aiokafka.consumer.consumer:commit", "entity_stream.edges.kafka_ledger:_commit_all"), "commit"),
        (("entity_stream.core.ordering:enter",), "keep order, progress and quota"),
    ],
)
def test_a_sample_belongs_to_what_was_asked_for(inside: tuple[str, ...], stage: str) -> None:
    """What a stage calls counts for the stage, and not for the pipeline around it."""
    assert stage_of((*inside, *OUTSIDE)) == stage


def test_what_nobody_knows_is_shown() -> None:
    """A stack that fits no row is counted, under a name of its own."""
    assert stage_of(("selectors:select", "asyncio.base_events:_run_once")) == REST


def test_starting_is_left_out() -> None:
    """The parts of all stages make a whole, without what was sampled during imports."""
    start = ("importlib._bootstrap:_find_and_load", *OUTSIDE)
    assert stage_of(start) == START
    assert by_stage([(start, 50), (("aiohttp.client:get",), 3), (("selectors:select",), 1)]) == [
        ("submit and poll: aiohttp", 0.75),
        (REST, 0.25),
    ]
