"""sentry-arroyo as its documentation has a user do it: batches of 25, each a job in a thread, then produce and commit.

The rule that keeps it honest: the strategies are the framework's own, one after another. 64 threads hold 64 jobs, so
that, unlike in the plain loop, a job that ends makes room for the next at once.
"""

import argparse
import json
import signal
from collections.abc import Mapping, Sequence
from time import sleep

import httpx
from arroyo import Message, Partition, Topic
from arroyo.backends.kafka import (
    KafkaConsumer,
    KafkaPayload,
    KafkaProducer,
    build_kafka_configuration,
    build_kafka_consumer_configuration,
)
from arroyo.processing import StreamProcessor
from arroyo.processing.strategies import (
    BatchStep,
    CommitOffsets,
    ProcessingStrategy,
    ProcessingStrategyFactory,
    Produce,
    RunTaskInThreads,
    UnbatchStep,
)
from arroyo.types import BrokerValue, Commit

from tests.bench.rest import DOCUMENTS, FILLS_WITHIN, JOBS, SUBMIT, Json, message, options, request, results


class Endpoint:
    """The analyze API for threads: submit, then ask every so often until the job has ended."""

    def __init__(self, client: httpx.Client, project: str, deployment: str, poll_every: float) -> None:
        self._client, self._poll_every = client, poll_every
        self._project, self._deployment = project, deployment

    def annotate(self, batch: Message[Sequence[BrokerValue[KafkaPayload]]]) -> list[BrokerValue[KafkaPayload]]:
        """Run a job for a batch; return its records with what is to be published in them."""
        documents = [json.loads(value.payload.value) for value in batch.payload]
        answer = self._patiently("POST", SUBMIT, request(documents, self._project, self._deployment))
        entities = self._results(answer.headers["operation-location"])
        return [
            value.replace(_payload(value, document, entities[str(place)]))
            for place, (value, document) in enumerate(zip(batch.payload, documents, strict=True))
        ]

    def _results(self, location: str) -> dict[str, Json]:
        """Ask until the job has ended. A pause comes first: no job ends at once."""
        while True:
            sleep(self._poll_every)
            answer = self._patiently("GET", f"{location}&top={DOCUMENTS}")
            if (found := results(answer.json())) is not None:
                return found

    def _patiently(self, method: str, url: str, body: Json | None = None) -> httpx.Response:
        """Call; when throttled, wait as long as told and call again, and at once when a connection breaks.

        (Where 64 threads share a client, one may be closed for its age just as another thread takes it.)
        """
        while True:
            try:
                answer = self._client.request(method, url, json=body)
            except httpx.ReadError:
                continue
            if answer.status_code != 429:
                return answer.raise_for_status()
            sleep(float(answer.headers.get("retry-after", 1)))


def _payload(value: BrokerValue[KafkaPayload], document: Json, entities: Json) -> KafkaPayload:
    place = value.partition
    return KafkaPayload(value.payload.key, message(document, entities, place.topic.name, place.index, value.offset), [])


class Steps(ProcessingStrategyFactory[KafkaPayload]):  # type: ignore[misc]
    """What becomes of a record, step by step."""

    def __init__(self, endpoint: Endpoint, producer: KafkaProducer, output: str) -> None:
        self._endpoint, self._producer, self._output = endpoint, producer, Topic(output)

    def create_with_partitions(
        self, commit: Commit, partitions: Mapping[Partition, int]
    ) -> ProcessingStrategy[KafkaPayload]:
        """Batch, annotate, publish, commit."""
        publish = Produce(self._producer, self._output, CommitOffsets(commit))
        annotate = RunTaskInThreads(self._endpoint.annotate, JOBS, JOBS, UnbatchStep(publish))
        return BatchStep(DOCUMENTS, FILLS_WITHIN, annotate)


def run(told: argparse.Namespace) -> None:
    """Read, annotate, publish, commit, until told to stop."""
    servers = {"bootstrap.servers": told.bootstrap}
    consumer = KafkaConsumer(build_kafka_consumer_configuration(servers, told.group, auto_offset_reset="earliest"))
    producer = KafkaProducer(build_kafka_configuration(servers | {"linger.ms": 5, "acks": "all"}))
    limits = httpx.Limits(max_connections=JOBS, max_keepalive_connections=JOBS)
    headers = {"Ocp-Apim-Subscription-Key": told.key}
    with httpx.Client(base_url=told.url, headers=headers, limits=limits, timeout=30) as client:
        endpoint = Endpoint(client, told.project, told.deployment, told.poll_every)
        stream = StreamProcessor(consumer, Topic(told.input), Steps(endpoint, producer, told.output))
        signal.signal(signal.SIGTERM, lambda *_: stream.signal_shutdown())
        stream.run()
        producer.close().result()


if __name__ == "__main__":
    run(options("on_arroyo", "sentry-arroyo."))
