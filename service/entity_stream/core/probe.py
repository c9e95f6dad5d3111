"""The probe: a short document of our own, by which a poisoned document is told from a model that is broken."""

from entity_stream.core.model import Batch, Document, Partition, Reason, Record, Rejected
from entity_stream.core.verdict import Again, Done, Halve, Judged, PollVerdict, SubmitVerdict

PROBE: Batch = (Document(Record(Partition("probe", 0), 0, None, None), "probe", "probe", "Does the model answer?"),)
"""A batch of one document that no record stands behind; it costs one text record."""

NO_RESULT = Reason("missing-result", "its job ended without a result for it")


def passed(verdict: SubmitVerdict | PollVerdict) -> bool:
    """Tell whether the API has annotated the probe: it works, and what it rejects is at fault."""
    return isinstance(verdict, Done) and isinstance(verdict.value, Judged) and verdict.value.annotates


def failure(verdict: SubmitVerdict | PollVerdict) -> str | None:
    """Say why the API rejected the probe; None where it did not, or has not yet."""
    match verdict:
        case Halve(reason):
            return f"{reason.code}: {reason.message}"
        case Again(cause):
            return cause
        case Done(Judged() as judged) if not judged.annotates:
            reason = next((each.reason for each in judged.outcomes if isinstance(each, Rejected)), NO_RESULT)
            return f"{reason.code}: {reason.message}"
        case _:
            return None
