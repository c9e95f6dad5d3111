"""What a run came to: calls, and how much later than they ended jobs were known to have ended."""

from collections.abc import Sequence

from msgspec import Struct, field


class Poll(Struct, frozen=True):
    """One poll of a job, at this age of it in seconds."""

    age: float
    done: bool


class Course(Struct, frozen=True):
    """One job: its size, what it took, how late its end was known, and its polls."""

    documents: int
    took: float
    late: float
    polls: Sequence[Poll]


class Tally(Struct):
    """The books of a run."""

    courses: list[Course] = field(default_factory=list)
    gets: int = 0
    throttled: int = 0
    calls: int = 0
    """That were not throttled."""
    allowed: float = 0.0
    """Calls that the quota had room for, from the start to the last one."""
    over: float = 0.0
    """When the last job was known to have ended."""

    def count(self, documents: int, took: float, late: float, polls: Sequence[Poll]) -> None:
        """Add a job."""
        self.courses.append(Course(documents, took, late, polls))

    @property
    def gets_per_job(self) -> float:
        """All polls, also those that were throttled."""
        return self.gets / len(self.courses)

    @property
    def used(self) -> float:
        """The part of the quota that was used."""
        return self.calls / self.allowed

    @property
    def usual(self) -> float:
        """Seconds that half of all jobs take no longer than."""
        return sorted(course.took for course in self.courses)[len(self.courses) // 2]

    @property
    def mean_late(self) -> float:
        """Seconds between the end of a job and our knowing it, on average."""
        return sum(course.late for course in self.courses) / len(self.courses)

    def late(self, part: float) -> float:
        """Seconds within which this part of all jobs was known to have ended."""
        ordered = sorted(course.late for course in self.courses)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
