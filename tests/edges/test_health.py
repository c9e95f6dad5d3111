"""What operators ask over HTTP, on a real socket."""

import asyncio

import httpx
import pytest

from entity_stream.core.mistake import Mistake
from entity_stream.core.model import Partition
from entity_stream.core.quota import Operation
from entity_stream.edges.health import serve_health
from entity_stream.edges.telemetry import Gauges, Metrics, catalogue
from entity_stream.plan import Health, Plan, Vitals

pytestmark = pytest.mark.asyncio

VITALS = Vitals(
    {Partition("in", 3, 7): 12},
    in_flight=4,
    bytes_held=99,
    draining=False,
    parked=None,
    resources={"west": Health(parked="401"), "east": Health(4, None, {Operation.POLL: 2.5}, {Operation.POLL: None})},
)


@pytest.mark.parametrize(("asked", "other"), [("ready", "live"), ("live", "ready")])
async def test_a_probe_says_why_not_in_words(asked: str, other: str) -> None:
    """503 with every reason while there is one, 200 when there is none; one probe does not care for the other's."""
    reasons = {asked: ["parked: HTTP 401: the key is refused", "joining: no partitions yet"], other: []}
    health = serve_health("127.0.0.1", 0, Metrics().registry, lambda: reasons["ready"], lambda: reasons["live"])
    async with health as address, httpx.AsyncClient(base_url=address) as client:
        answer = await client.get(f"/{asked}z")
        assert answer.status_code == 503
        assert all(reason in answer.text for reason in reasons[asked])
        assert (await client.get(f"/{other}z")).status_code == 200
        reasons[asked].clear()
        assert (await client.get(f"/{asked}z")).status_code == 200


async def test_every_metric_of_the_catalogue_is_on_the_page() -> None:
    """A scrape names each metric that the documentation lists, with the values of the running line."""
    metrics = Metrics()
    metrics.registry.register(Gauges(lambda: VITALS, lambda: {("in", 3): 5}, lambda: None, Plan()))
    async with serve_health("127.0.0.1", 0, metrics.registry, list, list) as address, httpx.AsyncClient() as client:
        page = (await client.get(f"{address}/metrics")).text
    for metric in catalogue():
        assert f"# TYPE {metric.name} {metric.kind}" in page
        assert metric.sentence in page
    assert 'entity_stream_unfinished_records{partition="3",topic="in"} 12.0' in page
    assert 'entity_stream_lag_records{partition="3",topic="in"} 5.0' in page
    assert 'entity_stream_parked{resource="west"} 1.0' in page
    assert 'entity_stream_parked{resource="east"} 0.0' in page
    assert 'entity_stream_jobs_in_flight{resource="east"} 4.0' in page
    assert 'entity_stream_frozen_seconds{operation="poll",resource="east"} 2.5' in page
    assert 'entity_stream_shut{operation="poll",resource="east"} 0.0' in page


async def test_a_port_in_use_is_a_mistake_in_words() -> None:
    """The second to listen on a port is told which setting to change."""
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    with pytest.raises(Mistake, match=f"cannot listen on 127.0.0.1:{port}"):
        async with serve_health("127.0.0.1", port, Metrics().registry, list, list):
            raise AssertionError
    taken.close()
    await taken.wait_closed()
