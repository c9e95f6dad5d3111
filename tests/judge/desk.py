"""Who gets which answer: keys, quota, faults and jobs. No socket and no clock: bytes and `now` come in, replies go out.

Each call is noted in the books as it is answered, and the answer and its line are made from the same values.
"""

from typing import Final

import msgspec
from msgspec import Struct

from tests.judge import dialect, jobs, refusals
from tests.judge.books import Books, Change, Poll, Submit
from tests.judge.conditions import LOST_ANSWERS, ON_POLL, ON_SUBMIT, Conditions, Operation
from tests.judge.fates import Fates
from tests.judge.jobs import Job, Sent
from tests.judge.limits import Quota
from tests.judge.replies import OUTAGES, WRONG, Reply, refused, spoiled

REACTION: Final = 0.2
"""Seconds after a Retry-After was told in which calls still come in that were sent before it."""
GRACE: Final = 0.01
"""Seconds by which the timer of a client may fire too soon."""
THROTTLED_FOR: Final = 1.0
"""Seconds that a throttle asks for which no limit caused."""
CALAMITIES: Final = ON_SUBMIT | LOST_ANSWERS
"""All that can strike a submit."""


class Call(Struct, frozen=True):
    """What every request says."""

    operation: Operation
    key: str
    query: str
    now: float


class Account:
    """What is remembered of a key."""

    def __init__(self, quota: Quota) -> None:
        self.quota, self.flights = quota, 0
        self._away: dict[Operation, tuple[float, float]] = {}

    def send_away(self, operation: Operation, now: float, until: float) -> None:
        """Remember that a Retry-After was told."""
        if until > self._away.get(operation, (0.0, 0.0))[1]:
            self._away[operation] = (now, until)

    def early(self, operation: Operation, now: float) -> bool:
        """Say whether a call comes before it may."""
        told, until = self._away.get(operation, (0.0, 0.0))
        return told + REACTION < now < until - GRACE


class Desk:
    """Answers submits and polls."""

    def __init__(self, conditions: Conditions, books: Books, base: str, now: float) -> None:
        self.conditions, self._books, self._base = conditions, books, base
        self.clear(now)

    def clear(self, now: float) -> None:
        """Forget everything but the conditions."""
        self._books.clear()
        self._books.note(Change(now, self.conditions))
        self._fates = Fates(self.conditions, now)
        self._jobs: dict[str, Job] = {}
        self._accounts: dict[str, Account] = {}

    def set(self, conditions: Conditions, now: float) -> None:
        """Let other conditions hold from now on."""
        if conditions.limits != self.conditions.limits:
            for account in self._accounts.values():
                account.quota = Quota(conditions.limits)
        self._fates.renew(conditions)
        self._hold(conditions, now)

    def rotate(self, old: str, new: str, now: float) -> None:
        """Exchange a key for another; its jobs and what it used of its quota go with it."""
        if old in self._accounts:
            self._accounts[new] = self._accounts.pop(old)
        for job in self._jobs.values():
            if job.holder == old:
                job.holder = new
        keys = [new if key == old else key for key in self.conditions.keys]
        self._hold(msgspec.structs.replace(self.conditions, keys=keys), now)

    def flights(self) -> dict[str, int]:
        """Count the jobs that each key has in hand and whose end was not told yet.

        Whoever asks for a job has it in hand from then on. One whose answer was lost is in nobody's.
        """
        return {key: account.flights for key, account in self._accounts.items()}

    def submit(self, call: Call, body: bytes) -> Reply:
        """Answer a submit."""
        sent, early = jobs.read(body), self._early(call)
        away = self._turn_away(call)
        reply, job = (away, None) if away else self._take(call, sent)
        self._books.note(_line(call, sent, reply, job, early=early))
        return reply

    def poll(self, call: Call, job_id: str) -> Reply:
        """Answer a poll."""
        early = self._early(call)
        reply = self._turn_away(call) or self._tell(call, self._jobs.get(job_id))
        self._books.note(Poll(call.now, call.key, reply.status, job_id, reply.told, early, reply.fault))
        return reply

    def _hold(self, conditions: Conditions, now: float) -> None:
        self.conditions = conditions
        self._books.note(Change(now, conditions))

    # both

    def _account(self, key: str) -> Account:
        if key not in self._accounts:
            self._accounts[key] = Account(Quota(self.conditions.limits))
        return self._accounts[key]

    def _early(self, call: Call) -> bool:
        return call.key in self._accounts and self._accounts[call.key].early(call.operation, call.now)

    def _turn_away(self, call: Call) -> Reply | None:
        """Answer what is answered alike whatever was asked."""
        conditions = self.conditions
        if conditions.down:
            return OUTAGES[conditions.down]
        if call.key not in conditions.keys:
            return refused(refusals.WRONG_KEY)
        if conditions.refuse:
            return refused(refusals.REFUSALS[conditions.refuse], "refuse")
        if dialect.version_in(call.query) is None:
            return refused(refusals.WRONG_VERSION)
        wait = self._account(call.key).quota.admit(call.operation, call.now)
        return self._throttle(call, wait) if wait else None

    def _throttle(self, call: Call, wait: float, fault: str | None = None) -> Reply:
        until, said = refusals.return_at(wait, call.now, self.conditions.retry_after)
        self._account(call.key).send_away(call.operation, call.now, until)
        refusal = refusals.throttled(call.operation, dialect.version_in(call.query) or "", wait)
        return Reply(refusal.status, refusal.body, {"Retry-After": said} if said else {}, fault=fault)

    # submits

    def _take(self, call: Call, sent: Sent) -> tuple[Reply, Job | None]:
        if sent.size > refusals.LARGEST_BODY:
            return refused(refusals.TOO_LARGE), None
        if sent.submission is None:
            return refused(refusals.UNREADABLE), None
        if refusal := refusals.objection(sent.submission, self.conditions.project, self.conditions.deployment):
            return refused(refusal), None
        fault = self._fates.strike(CALAMITIES, sent.troubled, call.key)
        if fault == "throttled":
            return self._throttle(call, THROTTLED_FOR, fault), None
        if fault in ON_SUBMIT:
            return WRONG[fault], None
        job = jobs.accept(sent, sent.submission, call.key, self._fates, call.now)
        self._keep(job, awaited=fault is None)
        return WRONG[fault] if fault else self._accepted(call, job), job

    def _keep(self, job: Job, *, awaited: bool) -> None:
        self._jobs[job.wire.id] = job
        job.awaited = awaited
        self._account(job.holder).flights += awaited

    def _accepted(self, call: Call, job: Job) -> Reply:
        version = dialect.version_in(call.query) or ""
        location = dialect.operation_location(self._links(), job.wire.id, version)
        return Reply(202, headers={"operation-location": location}, after=self.conditions.answers_after)

    def _links(self) -> str:
        return self.conditions.elsewhere or self._base

    # polls

    def _tell(self, call: Call, job: Job | None) -> Reply:
        if job is None:
            return refused(refusals.NO_JOB)
        self._hand_over(job, call.key)
        fault = self._fates.strike(ON_POLL, job.troubled, call.key)
        if fault == "poll-throttled":
            return self._throttle(call, THROTTLED_FOR, fault)
        if fault in WRONG:
            return WRONG[fault]
        reply = self._state(call, job)
        if fault:
            return spoiled(reply, fault)
        if call.now >= job.wire.ends and job.awaited:
            job.awaited = False
            self._account(job.holder).flights -= 1
        return reply

    def _hand_over(self, job: Job, key: str) -> None:
        if job.awaited and job.holder != key:
            self._account(job.holder).flights -= 1
            self._account(key).flights += 1
        job.holder = key

    def _state(self, call: Call, job: Job) -> Reply:
        status = jobs.status_of(job, call.now)
        if status is None:
            return refused(refusals.NO_JOB)
        version = dialect.version_in(call.query) or ""
        body = dialect.encode_job(job.wire, status, dialect.page_in(call.query), self._links(), version)
        return Reply(200, body, told=status)


def _line(call: Call, sent: Sent, reply: Reply, job: Job | None, *, early: bool) -> Submit:
    return Submit(
        call.now,
        call.key,
        reply.status,
        job.wire.id if job else None,
        sent.names,
        [document.id for document in sent.documents],
        sent.probe,
        job.wire.ends if job else None,
        job.fate if job else None,
        job.without if job else (),
        early,
        reply.fault,
        call.now + reply.after if reply.after else None,
        barren=job is not None and job.barren,
    )
