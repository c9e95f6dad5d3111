"""The README is run: every fenced block, every table. A block whose language nobody can run fails."""

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import jsonschema
import pytest
from msgspec import Struct

from entity_stream import cli, pipeline
from entity_stream.core.inspection import Commit, Log, headline, inspect, words
from entity_stream.core.journal import Journal, Trace, mark, write
from entity_stream.edges.telemetry import catalogue
from tests.integration.brokers import Broker
from tests.integration.processes import COMMAND, free_port
from tests.integration.topics import create_topic

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CTRL_C = b"\x03"
OF_MAKE = frozenset({"ARGS", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "MODE"})
"""What a make that runs these tests hands down to every make below it, which no reader has."""
FENCE = re.compile(r"^```(.*)\n((?:.*\n)*?)```$", re.MULTILINE)


class Block(Struct, frozen=True):
    """One fenced block: its language, what it asks of the reader's machine, and its text."""

    language: str
    wishes: dict[str, str]
    text: str


def blocks() -> Iterator[Block]:
    for info, text in FENCE.findall(README):
        language, *wishes = info.split() or [""]
        yield Block(language, dict(wish.partition("=")[::2] for wish in wishes), text)


BLOCKS = list(blocks())


def of(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language]


def test_every_block_is_of_a_kind_that_is_run() -> None:
    """No fenced block is without a language, or of one that no test below runs."""
    assert README.count("```") == 2 * len(BLOCKS)
    assert {block.language for block in BLOCKS} == {"bash", "json", "text", "yaml"}


@pytest.mark.parametrize("block", of("json"), ids=lambda block: block.wishes["schema"])
def test_every_message_shown_is_valid(block: Block) -> None:
    """A JSON block is what the schema it names describes."""
    schema = json.loads((ROOT / "schemas" / f"{block.wishes['schema']}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(json.loads(block.text))


def test_the_picture_has_the_words_of_the_code() -> None:
    """The stages of the picture are those of the pipeline's docstring."""
    picture, *shown = of("text")
    assert re.findall(r"\w+", picture.text) == re.findall(r"\w+", str(pipeline.__doc__).splitlines()[2])
    assert all("ServiceName" in block.text for block in shown if not block.wishes)


def test_the_journals_that_are_shown_are_printed_so() -> None:
    """The example is what the command says of these commits, to the letter."""
    first = "0c1f6c3e-2b7e-4c53-9a55-0e6c1c3b7a10", 1, ((1200, 1225),), 0b1_1111_1111_1110
    second = "7d0a5a52-6c0f-4a0f-8a67-d1f0b9f0a2c4", 2, ((1225, 1250),), 0
    jobs = tuple(Trace(name, mark("default"), times, runs, over) for name, times, runs, over in (first, second))
    commits = [
        Commit(1200, write(Journal(1200, 1350, (), jobs))),
        Commit(1250),
        Commit(710, b"somebody-else's-words"[:20]),
    ]
    logs = [Log(0, 3400), Log(0, 1250), Log(0, 900)]
    partitions = [
        inspect("documents", index, commit, log, ["default"])
        for index, (commit, log) in enumerate(zip(commits, logs, strict=True))
    ]
    shown = next(block.text for block in of("text") if "prints" in block.wishes)
    assert shown.splitlines() == [headline("entity-stream", partitions), *words(partitions)]


def test_the_estimate_that_is_shown_is_printed_so() -> None:
    """The command above it prints it, to the letter but for spaces at the ends of lines."""
    shown = next(block.text for block in of("text") if block.wishes.get("prints") == "estimate")
    command = [*COMMAND, "estimate", "service/entity_stream/sample/documents", "--price", "4"]
    told = subprocess.check_output(command, cwd=ROOT, text=True, timeout=60)
    assert [line.rstrip() for line in told.splitlines()] == shown.splitlines()


def test_what_scales_us_asks_for_metrics_that_are_there() -> None:
    """Each name of ours in a YAML block is in the catalogue."""
    names = {name for block in of("yaml") for name in re.findall(r"entity_stream_\w+", block.text)}
    assert names
    assert names <= {metric.name for metric in catalogue()}


@pytest.mark.parametrize("block", of("bash"), ids=lambda block: block.text.splitlines()[-1][:40])
def test_every_command_works(block: Block, request: pytest.FixtureRequest) -> None:
    """A bash block ends with exit code 0, or goes on until Ctrl-C once it shows what it promises."""
    environment = {name: value for name, value in os.environ.items() if name not in OF_MAKE}
    text = block.text.replace("--port 5000", f"--port {(port := free_port())}")
    if "needs" in block.wishes:
        environment |= asyncio.run(_kafka_settings(request.getfixturevalue("kafka"), port))
    if "dry-run" in block.wishes:
        text = re.sub(r"^make ", "make --dry-run ", text, flags=re.MULTILINE)
    mine = (ROOT / ".env").exists()
    code, said = asyncio.run(_run(text, environment, block.wishes.get("until")))
    if not mine:
        (ROOT / ".env").unlink(missing_ok=True)
    assert code == 0, said


async def _kafka_settings(kafka: Broker, engine_port: int) -> dict[str, str]:
    """Give what the reader has and .env.example assumes: a broker with topics, and a free port."""
    name = f"readme-{uuid4().hex[:8]}"
    for topic in (name, f"{name}-out", f"{name}-out.dead-letter"):
        await create_topic(kafka.bootstrap, topic)
    return {
        "ENTITY_STREAM_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "ENTITY_STREAM_INPUT_TOPIC": name,
        "ENTITY_STREAM_OUTPUT_TOPIC": f"{name}-out",
        "ENTITY_STREAM_LANGUAGE_ENDPOINT": f"http://127.0.0.1:{engine_port}",
        "ENTITY_STREAM_HTTP_PORT": "0",
    }


async def _run(text: str, environment: dict[str, str], until: str | None) -> tuple[int, str]:
    """Run a block in the clone, on a terminal as a reader would; with `until`, press Ctrl-C when that is seen."""
    if "check --config" in text:  # the engine starts in the background: wait as a reader does, until it answers
        text = re.sub(r"^(.*check --config.*)$", r"until \1 > /dev/null 2>&1; do :; done; \1", text, flags=re.MULTILINE)
    terminal, there = os.openpty()
    shell = ["setsid", "--ctty", "--wait", "bash", "-euo", "pipefail", "-c", text]
    process = await asyncio.create_subprocess_exec(
        *shell, cwd=ROOT, env=environment, stdin=there, stdout=there, stderr=there
    )
    os.close(there)
    said = bytearray()

    def listen() -> None:
        nonlocal until
        with suppress(OSError):  # the terminal is closed behind the last process
            said.extend(os.read(terminal, 65_536))
            if until and until.encode() in said:
                os.write(terminal, CTRL_C)
                until = None

    asyncio.get_running_loop().add_reader(terminal, listen)
    try:
        async with asyncio.timeout(120):
            return await process.wait(), said.decode(errors="replace")
    finally:
        asyncio.get_running_loop().remove_reader(terminal)
        os.close(terminal)


def test_the_commands_table_is_the_parsers() -> None:
    """Every command and every option of it is in the README, in the words of --help."""
    assert _between("commands") == cli.table()


def test_the_metrics_table_is_the_catalogue() -> None:
    """Every metric is in the README, with its labels and its sentence."""
    rows = ["| metric | labels | |", "|---|---|---|"]
    rows += [f"| `{m.name}` | {', '.join(m.labels)} | {m.sentence} |" for m in catalogue()]
    assert _between("metrics") == "\n".join(rows)


def _between(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", README, re.DOTALL)
    assert found, f"the README has no <!-- {name} -->"
    return found[1].strip()


def test_ci_runs_the_readmes_own_commands() -> None:
    """What .ci/run calls is what the README tells a developer to call, whether to test, to judge or to measure."""
    commands = [line for block in of("bash") if "dry-run" in block.wishes for line in block.text.splitlines()]
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert {"make test", "make lint", "make chaos", "make mutants", "make bench"} == set(commands)
    assert all(re.search(rf"^step {command}\b", ci, re.MULTILINE) for command in commands)


def test_the_clone_has_make() -> None:
    """The README's first command is there to be called."""
    assert shutil.which("make")
