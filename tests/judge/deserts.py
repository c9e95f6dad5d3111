"""What an input deserves: entities, a dead letter or a tombstone.

Who brings a lasting trouble of its own is rejected, and nobody else: not for trouble that passes, not for its
company. Only what the endpoint itself made of a document that stood alone excuses a rejection.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Final

from tests.judge.billing import brings
from tests.judge.books import Change, Event, Submit
from tests.judge.case import Input, Kind
from tests.judge.conditions import FAULTS, ON_JOB

FATAL: Final = ON_JOB | {"refused", "too-large", "missing", "error"}
"""Troubles with which, if they last, a document never gets entities: the API has answered."""
HARMLESS: Final = frozenset({"repeated", "stranger"})
"""Troubles that keep no result from anybody, however long they last. All others leave both ways open."""
PASSES: Final = 2
"""A trouble that strikes so often or less passes before anybody may be given up for it."""
REFUSALS: Final = frozenset({400, 413})

ANNOTATED: Final[frozenset[Kind]] = frozenset({"annotated"})
REJECTED: Final[frozenset[Kind]] = frozenset({"rejected"})
EITHER: Final = ANNOTATED | REJECTED
DELETED: Final[frozenset[Kind]] = frozenset({"deleted"})


def deserved(record: Input) -> frozenset[Kind]:
    """Say what may become of an input. Raises ValueError where its mark names a trouble that does not exist."""
    if record.tombstone:
        return DELETED
    if not record.valid:
        return REJECTED
    trouble, times = trouble_of(record)
    if not trouble or trouble in HARMLESS or (times is not None and times <= PASSES):
        return EITHER if record.unwelcome else ANNOTATED
    return REJECTED if trouble in FATAL and times is None else EITHER


def trouble_of(record: Input) -> tuple[str, int | None]:
    """Read the mark's trouble and how often it strikes; None: always."""
    trouble, _, times = record.fate.partition("*")
    if trouble and trouble not in FAULTS:
        raise ValueError(f"the mark of {record.name} names a trouble that does not exist: {trouble}")
    return trouble, int(times) if times else None


def excused(suspects: Collection[Input], books: Iterable[Event]) -> set[str]:
    """Name those of the rejected, who deserved entities, that the endpoint itself has convicted."""
    tries: dict[str, list[Submit]] = defaultdict(list)
    names, errors = {suspect.name for suspect in suspects}, False
    for event in books:
        if isinstance(event, Submit):
            for name in names.intersection(event.documents):
                tries[name].append(event)
        elif isinstance(event, Change):
            errors = errors or any(fault.what == "error" and fault.rate for fault in event.conditions.faults)
    return {suspect.name for suspect in suspects if _convicted(suspect, tries[suspect.name], errors=errors)}


def _convicted(suspect: Input, tries: list[Submit], *, errors: bool) -> bool:
    """Refused alone, or given up alone after jobs brought nothing of it, or its result was an error.

    The books do not say which result was an error: each may have been one that could.
    """
    refused = any(submit.status in REFUSALS and len(submit.documents) == 1 for submit in tries)
    accepted = [submit for submit in tries if submit.job is not None]
    could_err = errors or trouble_of(suspect)[0] == "error"
    return (
        refused
        or _given_up(suspect, accepted)
        or (could_err and any(brings(submit, suspect.name) for submit in accepted))
    )


def _given_up(suspect: Input, accepted: list[Submit]) -> bool:
    borne = PASSES if suspect.fate else 1  # any job may fail once; a mark says how often its own will
    blows = 0
    for submit in accepted:
        if brings(submit, suspect.name):
            continue
        alone = len(submit.documents) == 1
        blows += alone or submit.fate in {"succeeded", "partial"}
        if alone and blows > borne:
            return True
    return False
