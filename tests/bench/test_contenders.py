"""What contenders are told, and what they know of each other."""

import ast
import re
import sys
from pathlib import Path

import msgspec
import pytest

from tests.bench.contenders import MODULES, opponent, service
from tests.bench.plan import MODES, Contender
from tests.bench.task import Task

BENCH = Path(__file__).parent
ROOT = BENCH.parents[1]
TASK = Task("localhost:9092", "http://127.0.0.1:1", "documents", "entities", "dead", "group", 1.0)


@pytest.mark.parametrize("name", ["bare", "rest", *MODULES.values()])
def test_the_opponents_stand_alone(name: str) -> None:
    """Whom the service is measured against imports what anybody has from PyPI, and nothing of ours."""
    tree = ast.parse((BENCH / f"{name}.py").read_text(encoding="utf-8"))
    imported = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    foreign = {module.partition(".")[0] for module in imported} - sys.stdlib_module_names
    assert foreign <= {"aiohttp", "aiokafka", "arroyo", "azure", "confluent_kafka", "faststream", "httpx", "tests"}
    assert {module for module in imported if module.startswith("tests")} <= {"tests.bench.rest", "tests.bench.plain"}


@pytest.mark.parametrize("contender", MODULES)
def test_all_opponents_are_told_the_same(contender: Contender) -> None:
    """Each opponent is run with the same options, which are those that it takes."""
    command = opponent(TASK, contender)
    assert command[3:] == opponent(TASK, Contender.PLAIN)[3:]
    assert (BENCH / f"{MODULES[contender]}.py").exists()


def test_everybody_has_a_command() -> None:
    """Whoever is measured is either the service in one of its modes or an opponent."""
    assert {*MODULES, *MODES} == set(Contender)


@pytest.mark.parametrize("mode", MODES)
def test_the_service_is_told_what_a_user_can_tell(mode: Contender) -> None:
    """Every variable that the bench sets is a documented setting."""
    documented = (ROOT / ".env.example").read_text(encoding="utf-8")
    told = [word.partition("=")[0] for word in service(TASK, mode) if word.startswith("ENTITY_STREAM_")]
    assert f"ENTITY_STREAM_DELIVERY={mode}" in service(TASK, mode)
    assert [name for name in told if not re.search(rf"^#?{name}=", documented, re.MULTILINE)] == []


def test_the_service_is_told_its_quota() -> None:
    """A quota reaches the service by one variable; without one it is so high that it never binds."""
    bound = service(msgspec.structs.replace(TASK, quota=10), Contender.AT_LEAST_ONCE)
    free = service(TASK, Contender.AT_LEAST_ONCE)
    [one], [other] = [
        [word for word in command if word not in rest] for command, rest in ((bound, free), (free, bound))
    ]
    assert one.partition("=")[0] == other.partition("=")[0]


def test_the_shell_of_the_caller_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting in the environment of whoever runs the bench does not reach the service."""
    monkeypatch.setenv("ENTITY_STREAM_WINDOW", "1")
    command = service(TASK, Contender.AT_LEAST_ONCE)
    assert "--unset=ENTITY_STREAM_WINDOW" in command
    assert command.index("--unset=ENTITY_STREAM_WINDOW") < command.index("ENTITY_STREAM_WINDOW=64")
