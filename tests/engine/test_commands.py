"""What the command line asks of the engine: serving until it is told to stop, training, and the model of the sample."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from multiprocessing import active_children
from pathlib import Path

import httpx
import msgspec
import pytest

from entity_stream.core.mistake import Mistake
from entity_stream.core.wire import authoring
from entity_stream.engine.commands import Row, ServeOptions, _listen, sample_model, serve, spare_cpus, train
from entity_stream.engine.corpus import read_corpus, split
from entity_stream.engine.crf import Model
from entity_stream.engine.evaluation import evaluate
from entity_stream.sample import DOCUMENTS, LABELS

FEW = 14
"""Documents of the sample: enough to learn something, and quick."""
SUBMIT = "/language/analyze-text/jobs?api-version=2023-04-01"
ENGINE = """
import asyncio, sys
from pathlib import Path
from entity_stream.engine.commands import ServeOptions, serve

options = ServeOptions(model=Path(sys.argv[1]), project="p", deployment="d", port=0, workers=2)
asyncio.run(serve(options, asyncio.Event(), lambda url: print(url, flush=True)))
"""


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a labels file with a few of the sample's documents: every fourth is to be tested with."""
    file = authoring.decode(LABELS.read_bytes(), str(LABELS))
    documents = tuple(
        msgspec.structs.replace(entry, dataset="Test" if place % 4 == 3 else "Train")
        for place, entry in enumerate(file.assets.documents[:FEW])
    )
    few = msgspec.structs.replace(file, assets=msgspec.structs.replace(file.assets, documents=documents))
    path = tmp_path_factory.mktemp("corpus") / "labels.json"
    path.write_bytes(authoring.encode(few))
    return path


@pytest.fixture(scope="module")
def model(labels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a model on those documents."""
    path = tmp_path_factory.mktemp("model") / "model"
    train(labels, DOCUMENTS, path, lambda _: None)
    return path


def options(model: Path, **more: object) -> ServeOptions:
    usual = ServeOptions(model=model, project="p", deployment="d", port=0, workers=0)
    return msgspec.structs.replace(usual, **more)


# serve


async def serve_while(options: ServeOptions, meanwhile: Callable[[str], None]) -> None:
    """Serve, call `meanwhile` with the URL, and stop."""
    stop = asyncio.Event()

    def announce(url: str) -> None:
        meanwhile(url)
        stop.set()

    await serve(options, stop, announce)


@pytest.mark.asyncio
async def test_a_free_port_is_found_and_announced(model: Path) -> None:
    """Port 0 becomes one that is free, and the URL names it; `0.0.0.0` is announced as an address to call."""
    urls: list[httpx.URL] = []
    for host in ("127.0.0.1", "0.0.0.0"):  # noqa: S104 (what is to be tested)
        await serve_while(options(model, host=host), lambda url: urls.append(httpx.URL(url)))
    assert [(url.scheme, url.host) for url in urls] == [("http", "127.0.0.1")] * 2
    assert all(url.port for url in urls)


@pytest.mark.asyncio
async def test_a_port_that_is_taken_is_a_mistake(model: Path) -> None:
    """Where another listens, and where nobody is, the mistake names host and port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for wrong in (options(model, port=port), options(model, host="192.0.2.1")):
            with pytest.raises(Mistake, match="cannot listen there") as mistake:
                await serve_while(wrong, pytest.fail)
            assert mistake.value.where == f"{wrong.host}:{wrong.port}"


def test_what_is_written_is_sent_at_once() -> None:
    """An accepted connection does not wait for acknowledgements before it sends (40 ms an answer, measured)."""
    with _listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.asyncio
async def test_options_that_cannot_be_are_mistakes(model: Path, tmp_path: Path) -> None:
    """A file that is no model, an empty key, a port or a number of workers that is none: nothing is started."""
    (tmp_path / "other").write_bytes(b"not a model")
    wrong = [
        options(tmp_path / "nowhere"),
        options(tmp_path / "other"),
        options(tmp_path),
        options(model, key=" "),
        options(model, workers=-1),
        options(model, port=70_000),
    ]
    for each in wrong:
        with pytest.raises(Mistake):
            await serve_while(each, pytest.fail)


@pytest.mark.asyncio
async def test_signals_are_left_alone(model: Path) -> None:
    """While the engine serves, SIGINT and SIGTERM do what the caller wants them to."""
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    during: list[object] = []
    await serve_while(
        options(model), lambda _: during.extend(signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM))
    )
    assert during == before


@pytest.mark.asyncio
@pytest.mark.parametrize("workers", [0, 2])
async def test_nothing_is_left_after_the_stop(model: Path, workers: int) -> None:
    """When `serve` returns its port is closed, and its processes, as many as were asked for, are gone."""
    seen: list[tuple[str, int]] = []
    await serve_while(options(model, workers=workers), lambda url: seen.append((url, len(active_children()))))
    ((url, processes),) = seen
    assert (processes, active_children()) == (workers, [])
    port = httpx.URL(url).port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port or 0))


@pytest.mark.asyncio
async def test_a_request_under_way_at_the_stop_is_answered(model: Path) -> None:
    """A submit whose body is still coming when the engine is stopped gets its answer; the next finds no one."""
    stop = asyncio.Event()
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = {"kind": "CustomEntityRecognition", "parameters": {"projectName": "p", "deploymentName": "d"}}
    body = json.dumps({"analysisInput": {"documents": [{"id": "1", "text": "a"}]}, "tasks": [task]}).encode()
    head = f"POST {SUBMIT} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {len(body)}\r\n\r\n"
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(serve(options(model), stop, url.set_result))
        port = httpx.URL(await url).port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head.encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        stop.set()
        writer.write(body)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        await serving
    assert answer.startswith(b"HTTP/1.1 202")
    assert b"operation-location: http://x/language/analyze-text/jobs/" in answer


def test_workers_do_not_outlive_an_engine_that_was_killed(model: Path) -> None:
    """After SIGKILL to the engine its workers end: their end of its stdout is closed."""
    command = [sys.executable, "-c", ENGINE, str(model)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as engine:
        assert engine.stdout is not None
        assert engine.stdout.readline().startswith(b"http://127.0.0.1:")
        engine.kill()
        assert engine.stdout.read() == b""


def test_the_options_do_not_show_the_key() -> None:
    """The representation of the options may be logged: the key is not in it."""
    assert "secret" not in repr(options(Path("model"), key="secret"))
    assert ServeOptions(model=Path("model"), project="p", deployment="d").workers == spare_cpus() >= 1


# train


def test_training_tells_how_good_the_model_is_that_it_saves(labels: Path, tmp_path: Path) -> None:
    """The score is that of the saved model on the Test documents, by entity, and in both averages."""
    told: list[str] = []
    score = train(labels, DOCUMENTS, tmp_path / "model", told.append)
    _, testing = split(read_corpus(labels, DOCUMENTS))
    model = Model.load(tmp_path / "model")
    again = evaluate(testing, [model.predict(document.text) for document in testing])
    assert (score.training, score.testing) == (11, 3)
    assert {row.entity: row.f1 for row in score.entities} == {name: one.f1 for name, one in again.entities.items()}
    labelled = sum(len(document.spans) for document in testing)
    assert sum(row.support for row in score.entities) == labelled
    micro, macro = again.micro, again.macro
    assert score.averages == (
        Row("micro", micro.precision, micro.recall, micro.f1, labelled),
        Row("macro", macro.precision, macro.recall, macro.f1, labelled),
    )
    assert micro.f1 > 0.5
    assert any("11 documents" in line for line in told)


def test_one_document_alone_is_trained_on_and_not_scored(labels: Path, tmp_path: Path) -> None:
    """With nothing to hold back there is a model, and no score that would mean nothing."""
    file = authoring.decode(labels.read_bytes(), str(labels))
    alone = msgspec.structs.replace(file.assets, documents=file.assets.documents[:1])
    (tmp_path / "labels.json").write_bytes(authoring.encode(msgspec.structs.replace(file, assets=alone)))
    score = train(tmp_path / "labels.json", DOCUMENTS, tmp_path / "model", lambda _: None)
    assert (score.training, score.testing, score.entities, score.averages) == (1, 0, (), ())
    assert Model.load(tmp_path / "model").categories


@pytest.mark.parametrize("out", ["", "nowhere/model"])
def test_where_no_model_can_be_saved_none_is_trained(labels: Path, tmp_path: Path, out: str) -> None:
    """A folder in the place of the model, or none to hold it, is a mistake before any work is done."""
    told: list[str] = []
    with pytest.raises(Mistake, match="cannot be saved"):
        train(labels, DOCUMENTS, tmp_path / out, told.append)
    assert told == []
    assert list(tmp_path.iterdir()) == []


# the sample


def test_the_model_of_the_sample_is_trained_once(tmp_path: Path) -> None:
    """The second call finds the file of the first, untouched, and nothing else is left in the cache."""
    cache = tmp_path / "not" / "yet"
    path = sample_model(cache)
    first = path.stat()
    assert sample_model(cache) == path
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (first.st_ino, first.st_mtime_ns)
    assert list(cache.iterdir()) == [path]
    _, testing = split(read_corpus(LABELS, DOCUMENTS))
    model = Model.load(path)
    assert evaluate(testing, [model.predict(document.text) for document in testing]).micro.f1 > 0.8


def test_a_cache_that_cannot_be_written_is_a_mistake(tmp_path: Path) -> None:
    """Where the cache cannot be a folder, the mistake names the place."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Mistake, match="cannot be saved") as mistake:
        sample_model(tmp_path / "file")
    assert mistake.value.where == str(tmp_path / "file")
