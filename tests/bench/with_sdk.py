"""The Azure SDK as its quickstart has it: 25 documents, begin, wait for the result, publish, commit, and begin anew.

The rule that keeps it honest: all that the SDK decides stays as it decides it, how often it polls first of all.
"""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from typing import Any, TypeAlias

from azure.ai.textanalytics import TextAnalyticsClient
from azure.core.credentials import AzureKeyCredential
from confluent_kafka import Consumer, Producer

from tests.bench.rest import DOCUMENTS, FILLS_WITHIN, message, options

Record: TypeAlias = Any
"""A message of the C client, whose types say of all that a record has that it may be missing."""


def annotate(client: TextAnalyticsClient, told: argparse.Namespace, records: Sequence[Record]) -> list[bytes]:
    """Have the SDK run a job; return a message for each record. Raises RuntimeError where a document failed."""
    documents = [json.loads(record.value()) for record in records]
    texts = [document["text"] for document in documents]
    poller = client.begin_recognize_custom_entities(texts, told.project, told.deployment)
    messages = []
    for record, document, result in zip(records, documents, poller.result(), strict=True):
        if result.is_error:
            raise RuntimeError(result.error.message)
        entities = [dict(entity) for entity in result.entities]
        messages.append(message(document, entities, record.topic(), record.partition(), record.offset()))
    return messages


def run(told: argparse.Namespace) -> None:
    """Read, annotate, publish, commit, until told to stop."""
    servers = {"bootstrap.servers": told.bootstrap}
    group = {"group.id": told.group, "enable.auto.commit": False, "auto.offset.reset": "earliest"}
    consumer, producer = Consumer(servers | group), Producer(servers)
    consumer.subscribe([told.input])
    with TextAnalyticsClient(told.url, AzureKeyCredential(told.key)) as client:
        while True:
            if records := consumer.consume(DOCUMENTS, FILLS_WITHIN):
                for record, value in zip(records, annotate(client, told, records), strict=True):
                    producer.produce(told.output, value, record.key())
                producer.flush()
                consumer.commit(asynchronous=False)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    run(options("with_sdk", "The Azure SDK."))
