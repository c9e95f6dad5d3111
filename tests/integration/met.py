"""Which brokers a run of the tests has met, or why none: noted where it is found out, told at the end of the run.

Where several processes share the tests, each hands its notes to the one that tells them.
"""

from typing import Any

import pytest

MET = pytest.StashKey[dict[str, str]]()
"""By the part a broker plays."""

TOLD = "brokers"
"""What the notes are called on their way."""


def note(config: pytest.Config, role: str, what: object) -> None:
    """Note what a broker is, or why there is none."""
    config.stash.setdefault(MET, {})[role] = str(what)


def is_one_of_several(config: pytest.Config) -> bool:
    """Tell whether another process has started this one, to share the tests."""
    return hasattr(config, "workeroutput")


def hand_over(config: pytest.Config) -> None:
    """Give the notes to whoever has started this process, if anybody has."""
    if is_one_of_several(config):
        config.workeroutput[TOLD] = config.stash.get(MET, {})  # type: ignore[attr-defined]


def take_over(config: pytest.Config, output: dict[str, Any]) -> None:
    """Take the notes of a process that has ended."""
    config.stash.setdefault(MET, {}).update(output.get(TOLD, {}))


def tell(config: pytest.Config, terminal: pytest.TerminalReporter) -> None:
    """Tell them, each in a line."""
    for role, what in config.stash.get(MET, {}).items():
        terminal.write_line(f"{role}: {what}")
