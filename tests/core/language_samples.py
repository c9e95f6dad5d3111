"""Texts, documents, answers and job documents to test the wire and the verdicts with; nothing in here asserts."""

import json
from typing import Any

from hypothesis import strategies as st

from entity_stream.core.model import Document, Partition, Record
from entity_stream.core.verdict import Answer
from entity_stream.core.wire.runtime import wire_id

PARTITION = Partition("incidents", 3, 7)
PIECES = (*"aB1. \r\n", "\r\n", "\u0301", "\u200d", "👩", "🇩", "각", "ü", "—", "SRV-01")
UNEVEN_TEXTS = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
"""Texts whose length is another in each unit."""


def document(offset: int, text: str, language: str | None = None) -> Document:
    """Make a document as it is read from the log at an offset."""
    record = Record(PARTITION, offset, key=b"k", value=text.encode())
    name = wire_id(PARTITION, offset, 0, len(text), text)
    return Document(record, f"doc-{offset}", name, text, language)


def answer(status: int, body: object = b"", retry_after: str | None = None, location: str | None = None) -> Answer:
    """Make an HTTP answer; a body that is not bytes is written as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, raw, retry_after, location)


def error(code: str, inner: str | None = None) -> dict[str, Any]:
    """Make an error body whose innermost code is `inner`."""
    innererror = {"innererror": {"code": inner, "message": f"about {inner}"}} if inner else {}
    return {"error": {"code": code, "message": f"about {code}", **innererror}}


def entity(text: str = "Paris", offset: int = 0, category: str = "city") -> dict[str, Any]:
    """Make an entity as the wire has it."""
    return {
        "text": text,
        "category": category,
        "offset": offset,
        "length": len(text),
        "confidenceScore": 0.5,
    }


def item(*documents: dict[str, Any], kind: str = "CustomEntityRecognitionLROResults", **more: object) -> dict[str, Any]:
    """Make a task that has ended, with these documents in its results."""
    results = {"documents": list(documents), "errors": [], "projectName": "P", "deploymentName": "D"} | more
    return {
        "kind": kind,
        "lastUpdateDateTime": "2022-06-23T02:12:27.1032956Z",
        "status": "succeeded",
        "results": results,
    }


def job(*items: dict[str, Any], status: str = "succeeded", **more: object) -> dict[str, Any]:
    """Make a job document with these tasks."""
    tasks = {"completed": len(items), "failed": 0, "inProgress": 0, "total": len(items), "items": list(items)}
    return {
        "jobId": "64c0f660-257f-49c1-90d1-8dcd9e685501",
        "lastUpdatedDateTime": "2022-06-23T02:12:27Z",
        "createdDateTime": "2022-06-23T02:12:26Z",
        "expirationDateTime": "2022-06-24T02:12:26Z",
        "status": status,
        "errors": [],
        "tasks": tasks,
    } | more
