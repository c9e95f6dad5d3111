"""The commands as processes: what is right, what is a mistake, and with which exit code."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from entity_stream import cli
from entity_stream.core.mistake import Mistake
from entity_stream.demo.broker import embedded_broker

RIGHT = {
    "ENTITY_STREAM_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "ENTITY_STREAM_INPUT_TOPIC": "in",
    "ENTITY_STREAM_OUTPUT_TOPIC": "out",
    "ENTITY_STREAM_LANGUAGE_ENDPOINT": "http://127.0.0.1:2",
    "ENTITY_STREAM_LANGUAGE_KEY": "a-very-secret-key",
    "ENTITY_STREAM_LANGUAGE_PROJECT": "incidents",
    "ENTITY_STREAM_LANGUAGE_DEPLOYMENT": "production",
    "ENTITY_STREAM_HTTP_PORT": "0",
}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command with nothing of ours in its environment but what is given."""
    others = {
        name: value for name, value in os.environ.items() if not name.startswith(("ENTITY_STREAM_", "KUBERNETES_"))
    }
    command = [sys.executable, "-m", "entity_stream", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=others | environment)


def assert_told(ended: subprocess.CompletedProcess[str], *words: str) -> None:
    """A mistake is told in words, without a stack trace and without a secret, with exit code 2."""
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "secret" not in ended.stderr + ended.stdout
    for word in words:
        assert word in ended.stderr


def test_a_right_configuration_is_called_right() -> None:
    """`check` says so and exits 0."""
    ended = run("check", **RIGHT)
    assert (ended.returncode, ended.stdout) == (0, "✓ settings\n")


def test_a_static_member_is_told_its_name() -> None:
    """Nobody has set it in Kubernetes, so `check` shows it; with none there is none."""
    pod = RIGHT | {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": "stream-0"}
    assert run("check", **pod).stdout == "✓ settings\n✓ membership: static, as stream-0\n"
    assert run("check", **pod, ENTITY_STREAM_KAFKA_GROUP_INSTANCE_ID="none").stdout == "✓ settings\n"


def test_every_mistake_is_told_at_once() -> None:
    """Missing, malformed, misspelt and contradictory variables come together, each with its fix."""
    wrong = RIGHT | {
        "ENTITY_STREAM_WINDOW": "many",
        "ENTITY_STREAM_OUTPUT_TOPIC": "in",
        "ENTITY_STREAM_KAFKA_GRUOP": "g",
    }
    del wrong["ENTITY_STREAM_LANGUAGE_PROJECT"]
    told = ["_WINDOW is 'many'", "_OUTPUT_TOPIC", "Did you mean ENTITY_STREAM_KAFKA_GROUP?", "_PROJECT is not set"]
    for command in ("check", "serve"):
        assert_told(run(command, **wrong), *told)


def test_machines_get_json() -> None:
    """With --json each finding and each mistake is a JSON object on a line of its own."""
    assert json.loads(run("check", "--json", **RIGHT).stdout) == {"asked": "settings", "good": True, "mistake": None}
    ended = run("check", "--json")
    findings = [json.loads(line) for line in ended.stdout.splitlines()]
    assert (ended.returncode, ended.stderr, len(findings)) == (2, "", 7)
    assert all(finding["mistake"].keys() == {"what", "where", "fix"} for finding in findings)


def test_a_broker_that_is_not_there_is_told() -> None:
    """`serve` and `check --connect` name the address and the settings to look at."""
    assert_told(run("serve", **RIGHT), "127.0.0.1:1: connection refused", "ENTITY_STREAM_KAFKA_BOOTSTRAP_SERVERS")
    ended = run("check", "--connect", **RIGHT)
    assert_told(ended, "connection refused", "ENTITY_STREAM_LANGUAGE_ENDPOINT")
    assert ended.stdout.splitlines() == ["✓ settings", "✗ Kafka: log in", "✗ Language: reach http://127.0.0.1:2"]


def test_a_broker_that_cannot_tell_what_a_group_has_committed_is_told() -> None:
    """`journal` names the address, of one that is not there and of one that does not list it, as the demo's."""
    assert_told(run("journal", **RIGHT), "127.0.0.1:1: connection refused", "ENTITY_STREAM_KAFKA_BOOTSTRAP_SERVERS")
    with embedded_broker() as address:
        broker = RIGHT | {"ENTITY_STREAM_KAFKA_BOOTSTRAP_SERVERS": address}
        assert_told(run("journal", "some-group", **broker), "do not list what a group has committed", address)
        ended = run("journal", "--json", **broker)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert json.loads(ended.stderr)["mistake"].keys() == {"what", "where", "fix"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("check", "--config", "nowhere.env"), "nowhere.env"),
        (("journal", "--config", "nowhere.env"), "nowhere.env"),
        (("demo", "--documents", "nowhere", "--once"), "cannot read nowhere"),
        (("estimate", "nowhere"), "where: PATH"),
        (("estimate", "--config", "nowhere.env"), "nowhere.env"),
        (("engine", "serve", "--model", "nowhere"), "nowhere"),
        (("engine", "serve", "--key-file", "nowhere"), "--key-file"),
        (("engine", "train", "nowhere.json", "--documents", "."), "nowhere.json"),
    ],
)
def test_a_file_that_is_not_there_is_told(arguments: tuple[str, ...], words: str) -> None:
    """Whatever command names it."""
    assert_told(run(*arguments), words)


@pytest.mark.parametrize(
    ("option", "value"), [("--rate", "0"), ("--rate", "-1"), ("--rate", "nan"), ("--port", "99999"), ("--port", "x")]
)
def test_a_number_that_makes_no_sense_is_told(option: str, value: str) -> None:
    """The demo does not start with it."""
    assert_told(run("demo", f"{option}={value}", "--once"), option)


@pytest.mark.parametrize(("option", "value"), [("--price", "-1"), ("--price", "nan"), ("--sample", "9")])
def test_an_estimate_takes_no_number_that_makes_no_sense(option: str, value: str) -> None:
    """A price below nothing, or a sample of which nobody can tell how it differs."""
    assert_told(run("estimate", f"{option}={value}"), option)


def test_an_estimate_of_files_needs_no_configuration(tmp_path: Path) -> None:
    """Neither brokers nor key: what it costs and takes is told before any of that is there."""
    (tmp_path / "short.txt").write_text("auth_gateway is down")
    (tmp_path / "long.txt").write_text("x" * 2_001)
    (tmp_path / "blank.txt").write_text(" ")
    ended = run("estimate", str(tmp_path), "--json", "--price", "500")
    assert (ended.returncode, ended.stderr) == (0, "")
    found = json.loads(ended.stdout)
    assert (found["documents"], found["textRecords"], found["invalid"], found["submits"]) == (2, 4, 1, 1)
    assert (found["price"], found["documentsOff"]) == (2.0, 0)
    configured = {"ENTITY_STREAM_PRICE_PER_1000_TEXT_RECORDS": "500", "ENTITY_STREAM_LANGUAGE_KEY": "a b"}
    told = run("estimate", str(tmp_path), **configured)
    assert told.returncode == 0, told.stderr
    assert "2.00, at 500 for 1,000 text records" in told.stdout


def test_an_estimate_of_a_topic_needs_its_topic_and_no_key() -> None:
    """What of the configuration it uses is validated, and nothing else."""
    ended = run("estimate", ENTITY_STREAM_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1", ENTITY_STREAM_LANGUAGE_KEY_FILE="no")
    assert_told(ended, "INPUT_TOPIC is not set")
    assert ended.stderr.count("error:") == 1
    brokers = {"ENTITY_STREAM_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "ENTITY_STREAM_INPUT_TOPIC": "in"}
    assert_told(run("estimate", **brokers), "127.0.0.1:1: connection refused", "ENTITY_STREAM_KAFKA_BOOTSTRAP_SERVERS")
    assert_told(run("estimate", **brokers, ENTITY_STREAM_WINDOW="none"), "_WINDOW is 'none'")


def test_a_port_in_use_is_told() -> None:
    """The demo names the option, not a setting that it does not have."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert_told(run("demo", "--once", "--port", str(taken.getsockname()[1])), "--port", "in use")


def test_a_key_that_no_client_can_send_is_told(tmp_path: Path) -> None:
    """The engine does not serve behind a lock without a key, and does not show the key."""
    (tmp_path / "key").write_text("a secret of two\nlines")
    assert_told(run("engine", "serve", "--key-file", str(tmp_path / "key")), "no client")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody whom nobody knows")
def test_a_user_without_a_home_has_a_cache() -> None:
    """A container may run as a user that is in no passwd: the commands work all the same."""
    unknown = "import os; from entity_stream import cli; os.setuid(4_000_000); print(cli._cache().is_absolute())"
    homeless = {name: value for name, value in os.environ.items() if name != "HOME"}
    told = subprocess.check_output([sys.executable, "-c", unknown], text=True, timeout=60, env=homeless)
    assert told == "True\n"


def test_a_reader_that_has_seen_enough_ends_the_demo(tmp_path: Path) -> None:
    """As `head` does: no stack trace, no complaint, and the demo ends as after Ctrl-C."""
    for number in range(1_200):  # at 20 a second: it still has what to write when we have gone, however late we are
        (tmp_path / f"{number}.txt").write_text("payments-api throws HTTP 503")
    command = [sys.executable, "-m", "entity_stream", "demo", "--documents", str(tmp_path), "--json", "--rate", "20"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stdout
        assert demo.stderr
        json.loads(demo.stdout.readline())
        demo.stdout.close()
        told = demo.stderr.read()
    assert demo.returncode == 0, told
    assert "Traceback" not in told


def test_a_configuration_file_is_read(tmp_path: Path) -> None:
    """Settings come from --config; the environment wins."""
    file = tmp_path / "service.env"
    file.write_text("".join(f"{name}={value}\n" for name, value in RIGHT.items()))
    assert run("check", "--config", str(file)).returncode == 0
    assert_told(run("check", "--config", str(file), ENTITY_STREAM_WINDOW="0"), "_WINDOW is '0'")


def test_a_stack_trace_in_the_log_shows_no_variables() -> None:
    """What a frame holds may be a document's text or a key."""
    failing = """
import logging
from entity_stream.edges import logs
logs.configure("info", as_json=False)
def fail(text):
    raise ValueError
try:
    fail("confi" + "dential")
except ValueError:
    logging.getLogger("library").exception("failed")
"""
    ended = subprocess.run([sys.executable, "-c", failing], capture_output=True, text=True, timeout=60, check=True)
    assert "ValueError" in ended.stderr
    assert "confidential" not in ended.stderr


def test_names_of_entities_are_shown_as_they_are(tmp_path: Path) -> None:
    """What looks like markup in a category is part of its name, in the table of a training too."""
    text, category = "error E100 at noon\nerror E200 at night\n", "[x]Code :warning:"
    labels = [{"category": category, "offset": at, "length": 4} for at in (text.index("E100"), text.index("E200"))]
    region = {"regionOffset": 0, "regionLength": len(text), "labels": labels}
    documents = [
        {"location": f"{dataset}.txt", "language": "en-us", "dataset": dataset, "entities": [region]}
        for dataset in ("Train", "Test")
    ]
    kind = {"projectKind": "CustomEntityRecognition"}
    file = {
        "projectFileVersion": "2022-05-01",
        "stringIndexType": "Utf16CodeUnit",
        "metadata": kind | {"projectName": "p", "language": "en-us"},
        "assets": kind | {"entities": [{"category": category}], "documents": documents},
    }
    (tmp_path / "labels.json").write_text(json.dumps(file))
    for document in documents:
        (tmp_path / str(document["location"])).write_text(text)
    out = str(tmp_path / "model")
    ended = run("engine", "train", str(tmp_path / "labels.json"), "--documents", str(tmp_path), "--out", out)
    assert ended.returncode == 0, ended.stderr
    assert category in ended.stdout


def test_what_a_missing_file_would_have_set_is_not_called_missing() -> None:
    """A file that cannot be read is the one mistake that is told."""
    ended = run("check", "--config", "nowhere.env")
    assert_told(ended, "cannot read nowhere.env")
    assert ended.stderr.count("error:") == 1


def test_a_bug_keeps_its_stack_trace() -> None:
    """What is no mistake of the user's is not dressed up as one, nor hidden behind one."""
    group = ExceptionGroup("both", [Mistake("what", "where", "fix"), ZeroDivisionError()])
    assert cli.mistakes_only(group) is None
    assert cli.mistakes_only(ExceptionGroup("one", [Mistake("what", "where", "fix")])) is not None
