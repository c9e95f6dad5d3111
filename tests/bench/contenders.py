"""The contenders and the bare client as processes: what is run, with what it is told.

The rule that keeps it honest: each is told the same brokers, topics and endpoint, and nothing that a user could not
tell it. Bounds that would hold one of them back are set so high that they never bind.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen, TimeoutExpired

from tests.bench.plan import WINDOW, Contender
from tests.bench.task import Task
from tests.bench.watching import Unsound
from tests.integration.node import leashed

KEY, PROJECT, DEPLOYMENT = "key", "project", "deployment"
"""What the endpoint asks for by default."""

UNBOUND = 1_000_000
"""Calls a minute, more than any machine makes."""

MODULES = {
    Contender.PLAIN: "plain",
    Contender.FASTSTREAM: "on_faststream",
    Contender.ARROYO: "on_arroyo",
    Contender.SDK: "with_sdk",
}

GOODBYE = 40.0
"""Seconds that a process may take to end when told to."""

LAST_WORDS = 2_000
"""Characters of a log that are shown when a run came to nothing."""


def command(contender: Contender, task: Task, *wrapped: str) -> list[str]:
    """Say how to run a contender; `wrapped` are modules and options before the service's own command."""
    return opponent(task, contender) if contender in MODULES else service(task, contender, *wrapped)


def service(task: Task, mode: Contender, *wrapped: str) -> list[str]:
    """Say how to run the service in one of its modes; `wrapped` are modules and options before its own command."""
    variables = {
        "KAFKA_BOOTSTRAP_SERVERS": task.bootstrap,
        "KAFKA_GROUP": task.group,
        "INPUT_TOPIC": task.input,
        "OUTPUT_TOPIC": task.output,
        "DEAD_LETTER_TOPIC": task.dead_letters,
        "DELIVERY": mode,
        "LANGUAGE_ENDPOINT": task.url,
        "LANGUAGE_KEY": KEY,
        "LANGUAGE_PROJECT": PROJECT,
        "LANGUAGE_DEPLOYMENT": DEPLOYMENT,
        **_quota(task.quota),
        "WINDOW": str(WINDOW),
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": "0",
    }
    module = wrapped or ("entity_stream",)
    return [*_environment(variables), sys.executable, "-m", *module, "serve"]


def _quota(submits_per_second: int | None) -> dict[str, str]:
    """Tell the service its quota, which is of submits alone."""
    return {"LANGUAGE_QUOTA": f"submit {submits_per_second}/s" if submits_per_second else f"{UNBOUND}/min"}


def opponent(task: Task, contender: Contender) -> list[str]:
    """Say how to run the plain loop, or one of the peers."""
    options = {
        "bootstrap": task.bootstrap,
        "input": task.input,
        "output": task.output,
        "group": task.group,
        "url": task.url,
        "key": KEY,
        "project": PROJECT,
        "deployment": DEPLOYMENT,
        "poll-every": str(task.poll_every),
    }
    return [sys.executable, "-m", f"tests.bench.{MODULES[contender]}", *_options(options)]


def bare(url: str, documents: int, job_takes: float) -> list[str]:
    """Say how to run the bare client."""
    options = {
        "url": url,
        "key": KEY,
        "project": PROJECT,
        "deployment": DEPLOYMENT,
        "documents": str(documents),
        "job-takes": str(job_takes),
    }
    return [sys.executable, "-m", "tests.bench.bare", *_options(options)]


@contextmanager
def at_work(command: list[str], log: Path) -> Iterator[Popen[bytes]]:
    """Run a contender until the block ends, then tell it to stop. Its last words go with an Unsound."""
    try:
        with leashed(command, log) as process:
            yield process
            process.terminate()
            process.wait(GOODBYE)
    except (Unsound, TimeoutExpired) as reason:
        said = log.read_text(encoding="utf-8", errors="replace")[-LAST_WORDS:]
        raise Unsound(f"{reason}; it said last:\n{said}") from reason


def _environment(variables: Mapping[str, str]) -> list[str]:
    """Set these variables and no others of the service: whatever the caller's shell has does not count."""
    inherited = [f"--unset={name}" for name in os.environ if name.startswith("ENTITY_STREAM_")]
    return ["env", *inherited, *(f"ENTITY_STREAM_{name}={value}" for name, value in variables.items())]


def _options(options: Mapping[str, str]) -> list[str]:
    return [word for name, value in options.items() for word in (f"--{name}", value)]
