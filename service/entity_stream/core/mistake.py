"""What a user can put right: says what is wrong, where, and how to mend it. Shown without a stack trace."""

from collections.abc import Iterator


class Mistake(Exception):
    """Ends the command with exit code 2."""

    def __init__(self, what: str, where: str, fix: str) -> None:
        super().__init__(f"{what} ({where}). {fix}")
        self.what = what
        self.where = where
        self.fix = fix


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Go through what a task group raised, down to the exceptions themselves."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error
