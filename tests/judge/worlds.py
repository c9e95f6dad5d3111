"""Random runs in which nothing is wrong: a small service, an endpoint with troubles, and shocks.

Jobs whose acceptance was settled are handed over from life to life; in exactly_once a settle that is cut short has
published nothing. It is written from what the service promises, and shares no rule with the checker that has to
acquit it.
"""

import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from random import Random
from typing import Final, NoReturn

from msgspec import structs

from tests.judge.books import NO_ANSWER, Change, Event, Fate, Poll, Submit
from tests.judge.case import Blow, Evidence, Input, Kind, Outcome, Shock
from tests.judge.conditions import Conditions
from tests.judge.findings import Mode

BEGIN: Final = 1_790_000_000.0
OUTPUT: Final = "output"
DEAD_LETTERS: Final = "dead-letters"
TROUBLES: Final = (
    "missing",
    "missing*2",
    "refused",
    "fails*2",
    "vanishes*1",
    "error",
    "not-json*5",
    "not-json",
    "repeated",
)
FATES: Final[dict[str, Fate]] = {"fails": "failed", "vanishes": "vanished"}
TOLD: Final[dict[Fate, str]] = {"succeeded": "succeeded", "failed": "failed", "vanished": "none"}
ANSWERS: Final = ((202, None), (NO_ANSWER, "accepted-hang"), (500, "accepted-500"))
BLOWS: Final[dict[str, Blow]] = {"SIGKILL": "kill", "SIGSTOP": "stop"}
STRIKES: Final = 5
"""Wrong answers in a row for which a job is given up, and jobs in vain for which a document alone is rejected."""


class Killed(Exception):
    """The service ends here, and another begins where it has committed."""


def random_inputs(dice: Random, partitions: int, records: int) -> list[Input]:
    """Write a topic: documents with and without trouble, tombstones, poison, aborted ones; holes between offsets."""
    ends = [0] * partitions
    inputs = []
    for number in range(records):
        partition = dice.randrange(partitions)
        ends[partition] += dice.choice([1, 1, 1, 2, 5])
        kind = dice.choices(["document", "tombstone", "poison"], [20, 1, 1])[0]
        key = dice.choice([b"a", b"b", b"c"]) if kind == "tombstone" else dice.choice([None, b"a", b"b", b"c"])
        fate = dice.choice(TROUBLES) if kind == "document" and dice.random() < 0.25 else ""
        aborted = dice.random() < 0.05
        place = (f"doc-{number}", partition, ends[partition], key, fate, aborted)
        inputs.append(Input(*place, tombstone=kind == "tombstone", valid=kind != "poison", at=BEGIN + number / 1000))
    return inputs


class World:
    """One run of a service that has read all inputs by the end."""

    def __init__(self, dice: Random, mode: Mode = "at_least_once") -> None:
        self._dice, self._atomic, self._now, self._lives = dice, mode == "exactly_once", BEGIN, 1
        self._books: list[Event] = [Change(BEGIN, Conditions())]
        self._shocks: list[Shock] = []
        self._outcomes: list[Outcome] = []
        self._positions: dict[int, int] = {}
        self._late: list[tuple[Input, Kind, float]] = []
        self._ends: Counter[tuple[str, int]] = Counter()
        self._troubled: dict[str, Input] = {}
        self._struck: Counter[str] = Counter()
        self._in_vain: Counter[str] = Counter()
        self._journal: dict[tuple[str, ...], list[Submit]] = defaultdict(list)
        self._met: Counter[tuple[str, ...]] = Counter()  # how far this life has come in it

    def run(self, inputs: Sequence[Input]) -> Evidence:
        """Serve partition by partition, all from the same moment on."""
        for partition in sorted({record.partition for record in inputs}):
            self._now = BEGIN + 1
            self._serve([record for record in inputs if record.partition == partition])
        return Evidence(inputs, self._outcomes, self._positions, self._books, self._shocks)

    def _serve(self, records: Sequence[Input]) -> None:
        todo = [record for record in records if not record.aborted]
        while todo:
            size = self._dice.randint(1, 6)
            while not self._lives_through(todo[:size]):
                self._now += 12  # until its heir has the partition
            self._positions[todo[0].partition] = todo[:size][-1].offset + 1
            todo = todo[size:]

    # the service

    def _lives_through(self, batch: Sequence[Input]) -> bool:
        try:
            self._settle(batch, self._annotate(batch))
        except Killed:
            return False
        return True

    def _annotate(self, batch: Sequence[Input]) -> dict[str, Kind]:
        documents = [record for record in batch if record.valid and not record.tombstone]
        kinds: dict[str, Kind] = {record.name: "deleted" if record.tombstone else "rejected" for record in batch}
        self._in_vain.clear()
        self._met.clear()
        return kinds | (self._carry(documents) if documents else {})

    def _carry(self, batch: Sequence[Input]) -> dict[str, Kind]:
        """Run a batch as a job; what it brings nothing of is asked for again, each alone, and at last rejected."""
        job = self._handed_over(batch) or self._submit_until_told(batch)
        brought = self._poll(job) if job else []
        kinds: dict[str, Kind] = {}
        for record in batch:
            if record.name in brought:
                kinds[record.name] = "rejected" if record.fate == "error" else "annotated"
                continue
            self._in_vain[record.name] += len(batch) == 1
            final = len(batch) == 1 and job is None
            given_up = final or self._in_vain[record.name] >= STRIKES
            kinds |= {record.name: "rejected"} if given_up else self._carry([record])
        return kinds

    def _handed_over(self, batch: Sequence[Input]) -> Submit | None:
        """Return the next job of these documents that an earlier life has left in the journal."""
        names = tuple(record.name for record in batch)
        jobs, place = self._journal[names], self._met[names]
        self._met[names] += 1
        return jobs[place] if place < len(jobs) else None

    def _submit_until_told(self, batch: Sequence[Input]) -> Submit | None:
        """Return the job once it is settled, or None where the batch is refused."""
        while True:
            submit = self._submit(batch)
            if submit.status == 400:
                return None
            if submit.job and self._dice.random() < 0.05:
                self._lose()
            if submit.status == 202:
                self._journal[tuple(record.name for record in batch)].append(submit)
                return submit

    def _lose(self) -> NoReturn:
        """End before the job is named: its request was under way, or its answer, or the settle that names it."""
        if self._dice.random() < 0.3:
            self._shocks.append(Shock(self._now - 0.3, "broker 1 killed", "broker-1", self._now + 8, blow="outage"))
            self._shock(self._dice.choice(["SIGKILL", "SIGSTOP"]), self._dice.uniform(0.6, 7))
        self._shock(self._dice.choice(["SIGKILL", "SIGSTOP"]), self._dice.choice([-0.3, 0.001, 0.4]))

    def _poll(self, job: Submit) -> Sequence[str]:
        """Ask until the job has ended; return what it brought."""
        for _ in range(STRIKES):
            answer = self._ask(job)
            while answer.told == "running":
                answer = self._ask(job)
            if answer.told == "succeeded":
                return [name for name in job.documents if name not in job.without]
            if answer.told == "failed" or answer.status == 404:
                break
        return []

    def _settle(self, batch: Sequence[Input], kinds: dict[str, Kind]) -> None:
        """Publish in the order of each key, then commit: unless something comes between."""
        rank = {record.key: self._dice.random() for record in batch}
        letters = [(record, kinds[record.name], self._now) for record in sorted(batch, key=lambda one: rank[one.key])]
        dice = self._dice.random()
        if dice < 0.15 and self._atomic:
            self._shock("SIGSTOP" if dice < 0.05 else "SIGKILL", 0.5)
        if dice < 0.05:
            self._late += letters  # written when the process wakes, after its heir has published the same
            self._shock("SIGSTOP", 0.5)
        self._publish([*letters, *self._late])
        self._late.clear()
        if dice < 0.15:
            self._shock("SIGKILL", self._dice.uniform(0, 0.9))

    def _publish(self, letters: Sequence[tuple[Input, Kind, float]]) -> None:
        for record, kind, at in letters:
            topic = DEAD_LETTERS if kind == "rejected" else OUTPUT
            partition = zlib.crc32(record.key) % 3 if record.key is not None else self._dice.randrange(3)
            self._ends[topic, partition] += self._dice.choice([1, 1, 2])
            place = (topic, partition, self._ends[topic, partition], round(at, 3))
            found = (record.name,) if kind == "annotated" else ()
            source = None if kind == "deleted" else (record.partition, record.offset)
            self._outcomes.append(Outcome(record.name, kind, record.key, *place, found, source))

    def _shock(self, what: str, later: float) -> NoReturn:
        who, blow = f"worker-{self._lives}", BLOWS[what]
        self._shocks.append(Shock(self._now + later, f"{what} {who}", who, blow=blow))
        self._lives += 1
        raise Killed

    # the endpoint

    def _submit(self, batch: Sequence[Input]) -> Submit:
        self._now += self._dice.uniform(0.002, 0.05)
        self._troubled |= {record.name: record for record in batch if record.fate}
        names = [record.name for record in batch]
        submit = Submit(self._now, f"worker-{self._lives}", 202, documents=names, ids=names)
        if any(self._strikes(record, "refused") for record in batch):
            submit = structs.replace(submit, status=400, fault="refused")
        elif self._dice.random() < 0.1:
            submit = structs.replace(submit, status=self._dice.choice([NO_ANSWER, 429, 500, 503]))
        else:
            submit = self._accept(submit, batch)
        self._books.append(submit)
        return submit

    def _accept(self, submit: Submit, batch: Sequence[Input]) -> Submit:
        fates = [fate for what, fate in FATES.items() for record in batch if self._strikes(record, what)]
        fate: Fate = fates[0] if fates else "failed" if self._dice.random() < 0.05 else "succeeded"
        missing = [record.name for record in batch if self._strikes(record, "missing")]
        status, fault = self._dice.choices(ANSWERS, [20, 1, 1])[0]
        return structs.replace(
            submit,
            status=status,
            fault=fault,
            job=f"{self._dice.getrandbits(64):016x}",
            ends=self._now + self._dice.uniform(0.01, 0.2),
            fate=fate,
            without=missing if fate == "succeeded" else submit.documents,
        )

    def _ask(self, job: Submit) -> Poll:
        self._now += self._dice.uniform(0.002, 0.05)
        poll = Poll(self._now, f"worker-{self._lives}", 200, job.job or "", TOLD[job.fate or "succeeded"])
        if self._now < (job.ends or 0.0):
            poll = structs.replace(poll, told="running")
        elif any(self._strikes(self._troubled[name], "not-json") for name in job.documents if name in self._troubled):
            poll = structs.replace(poll, told="none", fault="not-json")
        elif job.fate == "vanished":
            poll = structs.replace(poll, told="none", status=404)
        self._books.append(poll)
        return poll

    def _strikes(self, record: Input, what: str) -> bool:
        trouble, _, times = record.fate.partition("*")
        if trouble != what:
            return False
        self._struck[record.name] += 1
        return not times or self._struck[record.name] <= int(times)
