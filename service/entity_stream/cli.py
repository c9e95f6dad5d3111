"""The commands; wiring only. A user's mistake is told in words on stderr, with exit code 2 and no stack trace."""

import argparse
import asyncio
import json
import math
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from entity_stream.core.mistake import Mistake, leaves

T = TypeVar("T")

INTERRUPTED = 130
"""What a shell calls a command that Ctrl-C has ended."""

FEWEST = 100
"""Records of a partition that a sample must have: of fewer nobody can tell how they differ."""

PURPOSE = "Have a deployed custom-NER model find the entities in the documents of a Kafka topic."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BaseException as error:
        if mistakes := mistakes_only(error):
            return _tell(mistakes, as_json=getattr(options, "json", False))
        raise
    return code


def _serve(options: argparse.Namespace) -> int:
    """Load the settings, then serve until SIGTERM or SIGINT."""
    from entity_stream import serving
    from entity_stream.edges import logs
    from entity_stream.settings.loading import load

    settings = load(options.config)
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    logs.configure(settings.log_level, as_json=as_json)

    setup = serving.setup_of(settings)
    _until_stopped(lambda stop: serving.serve(setup, stop))
    return 0


def _check(options: argparse.Namespace) -> int:
    """Validate the settings; with --connect also ask broker and endpoint."""
    from entity_stream.settings.loading import load

    try:
        settings = load(options.config)
    except ExceptionGroup as error:
        if not options.json or not (wrong := mistakes_only(error)):
            raise
        return _report([("settings", mistake) for mistake in wrong], as_json=True)
    told: list[tuple[str, Mistake | None]] = [("settings", None)]
    if settings.kafka_group_instance_id:
        told.append((f"membership: static, as {settings.kafka_group_instance_id}", None))
    if not options.connect:
        return _report(told, as_json=options.json)
    from entity_stream import serving
    from entity_stream.edges import logs

    logs.configure("critical", as_json=False)
    findings = asyncio.run(serving.ask(serving.setup_of(settings)))
    return _report(told + [(each.asked, each.mistake) for each in findings], as_json=options.json)


def _journal(options: argparse.Namespace) -> int:
    """Say what a group has committed; nobody notices."""
    from entity_stream.core import inspection
    from entity_stream.edges import journals, logs
    from entity_stream.settings.loading import load

    settings = load(options.config)
    logs.configure("critical", as_json=False)
    connection = settings.kafka()
    if options.group is not None:
        connection = msgspec.structs.replace(connection, group=options.group)
    partitions = asyncio.run(journals.inspect_group(connection, settings.resource_names()))
    if options.json:
        for each in partitions:
            print(msgspec.json.encode(each).decode())
        return 0
    plain = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)  # names are shown as they are
    plain.print(inspection.headline(connection.group, partitions), style="bold")
    for line in inspection.words(partitions):
        plain.print(line)
    return 0


def _estimate(options: argparse.Namespace) -> int:
    """Say what a backlog, or documents in files, will cost and take; nothing is sent."""
    from entity_stream import estimating
    from entity_stream.core import estimate
    from entity_stream.edges import logs
    from entity_stream.settings import loading

    files: Path | None = options.documents
    settings = loading.load(options.config, without=loading.OUTCOMES | (loading.KAFKA if files else frozenset()))
    logs.configure("critical", as_json=False)
    plan, price = settings.plan(), settings.price_per_1000_text_records if options.price is None else options.price
    with Console(stderr=True, highlight=False).status("reading") as status:
        tell = _telling(status.update)
        if files:
            found = estimating.of_files(files, plan, price, tell)
        else:
            most = None if options.all else options.sample
            found = asyncio.run(estimating.of_topic(settings.kafka(), settings.input_topic, plan, most, price, tell))
    if options.json:
        print(msgspec.json.encode(found).decode())
        return 0
    whence = f"{files or f'{settings.input_topic}, as group {settings.kafka_group} has left it'}"
    table = Table(show_header=False, title=whence, title_justify="left")
    for row in estimate.rows(found, price):
        table.add_row(*row)
    Console(highlight=False, markup=False, emoji=False).print(table)
    return 0


def _telling(show: Callable[[str], None]) -> Callable[[int, int | None], None]:
    def tell(read: int, of: int | None) -> None:
        show(f"{read:,} records read" if of is None else f"{read:,} of {of:,} records read")

    return tell


def _demo(options: argparse.Namespace) -> int:
    """Run broker, engine and service on this machine."""
    from entity_stream.demo.run import Demo, Options
    from entity_stream.edges import logs

    logs.configure(options.log_level, as_json=False)
    if options.json and sys.stdout is None:
        raise Mistake("there is nowhere to write the messages", "stdout", "Leave it open, or leave --json out.")
    wanted = Options(options.documents, options.once, options.json, options.rate, options.port, _cache())
    return _until_stopped(lambda stop: Demo(wanted, stop).run())


def _engine_serve(options: argparse.Namespace) -> int:
    """Serve a model as a Language resource until SIGTERM or SIGINT."""
    from entity_stream.engine import commands

    key = _key(options.key_file)
    if not options.model:
        print("no --model: the one of the labelled sample is served, trained now unless it was before", file=sys.stderr)
    serving = commands.ServeOptions(
        model=options.model or commands.sample_model(_cache()),
        project=options.project,
        deployment=options.deployment,
        host=options.host,
        port=options.port,
        key=key,
        workers=commands.spare_cpus() if options.workers is None else options.workers,
    )
    _until_stopped(lambda stop: commands.serve(serving, stop, lambda address: print(f"engine {address}", flush=True)))
    return 0


def _cache() -> Path:
    """Say where the model of the sample is kept: a container may run as a user that has no home."""
    try:
        return Path.home() / ".cache" / "entity-stream"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / "entity-stream"


def _key(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        key = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Mistake(
            f"the key cannot be read: {error}", "--key-file", "Name a text file that holds the key."
        ) from error
    if " " in key or not (key.isascii() and key.isprintable()):
        raise Mistake("no client can send this key", str(file), "A key is one word of visible ASCII.")
    return key


def _engine_train(options: argparse.Namespace) -> int:
    """Train a model on labelled documents and say how good it is on those it has not seen."""
    from entity_stream.engine import commands

    plain = partial(Console, highlight=False, markup=False, emoji=False)  # names are shown as they are
    progress = plain(stderr=True, soft_wrap=True)
    score = commands.train(options.labels, options.documents, options.out, progress.print)
    if options.json:
        print(json.dumps(msgspec.to_builtins(score)))
        return 0
    table = Table("entity", "precision", "recall", "F1", "labelled", title=f"on {score.testing} held-out documents")
    for row in (*score.entities, *score.averages):
        table.add_row(row.entity, *(f"{part:.3f}" for part in (row.precision, row.recall, row.f1)), str(row.support))
    plain().print(table)
    return 0


def _until_stopped(run: Callable[[asyncio.Event], Awaitable[T]]) -> T:
    """Run a coroutine with an event that the first SIGINT or SIGTERM sets; the second SIGINT interrupts at once."""

    async def watched() -> T:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()

        def ask_to_stop() -> None:
            stop.set()
            loop.remove_signal_handler(signal.SIGINT)

        for each in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(each, ask_to_stop)
        return await run(stop)

    return asyncio.run(watched())


def mistakes_only(error: BaseException) -> list[Mistake] | None:
    """Return the user's mistakes when there is nothing else in what was raised: a bug is told as a bug."""
    raised = list(leaves(error))
    mistakes = [leaf for leaf in raised if isinstance(leaf, Mistake)]
    return mistakes if len(mistakes) == len(raised) else None


def _tell(mistakes: Sequence[Mistake], *, as_json: bool) -> int:
    """Print every mistake: what, where, and how to mend it."""
    if as_json:
        for mistake in mistakes:
            print(json.dumps({"mistake": _parts(mistake)}), file=sys.stderr)
        return 2
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for mistake in mistakes:
        console.print(f"[bold red]error:[/bold red] {escape(mistake.what)}")
        console.print(f"  where: {escape(mistake.where)}")
        console.print(f"  fix:   {escape(mistake.fix)}")
    return 2


def _parts(mistake: Mistake) -> dict[str, str]:
    return {"what": mistake.what, "where": mistake.where, "fix": mistake.fix}


def _report(findings: Sequence[tuple[str, Mistake | None]], *, as_json: bool) -> int:
    """Print what was asked and what came of it; 2 when something has to be mended."""
    mistakes = [mistake for _, mistake in findings if mistake]
    if as_json:
        for asked, mistake in findings:
            print(json.dumps({"asked": asked, "good": mistake is None, "mistake": mistake and _parts(mistake)}))
        return 2 if mistakes else 0
    console = Console(highlight=False, soft_wrap=True)
    for asked, mistake in findings:
        console.print(f"{'[red]✗[/red]' if mistake else '[green]✓[/green]'} {escape(asked)}")
    return _tell(mistakes, as_json=False) if mistakes else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="entity-stream", description=PURPOSE)
    parser.add_argument("--version", action="version", version=f"entity-stream {version('entity-stream')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="read, annotate and publish until told to stop")
    _add_config(serve)
    serve.set_defaults(command=_serve)

    check = commands.add_parser("check", help="say whether the configuration is right, and every mistake in it")
    _add_config(check)
    check.add_argument("--connect", action="store_true", help="also ask the broker and the endpoint")
    check.add_argument("--json", action="store_true", help="one JSON object a line")
    check.set_defaults(command=_check)

    journal = commands.add_parser("journal", help="say what a group has committed: positions, finished records, jobs")
    journal.add_argument("group", nargs="?", metavar="GROUP", help="default: the configured group")
    _add_config(journal)
    journal.add_argument("--json", action="store_true", help="one JSON object a partition, each on a line")
    journal.set_defaults(command=_journal)

    _add_estimate(
        commands.add_parser("estimate", help="say what a backlog or a folder will cost and take; nothing is sent")
    )
    _add_demo(
        commands.add_parser("demo", help="run broker, engine and service on this machine, with nothing else needed")
    )
    _add_engine(commands.add_parser("engine", help="the self-hosted Language server"))
    return parser


def table() -> str:
    """Write all commands and their options as a Markdown table, for the README."""
    rows = ["| command | |", "|---|---|"]
    for words, parser, told in _commands(_parser(), ("entity-stream",)):
        rows.append(f"| `{' '.join(words)}` | {told} |")
        for action in parser._actions:  # noqa: SLF001 (argparse has no other way to its options)
            if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction):  # noqa: SLF001
                name = " ".join([*action.option_strings[-1:], str(action.metavar or "")]).strip() or action.dest
                rows.append(f"| &emsp;`{name}` | {action.help} |")
    return "\n".join(rows)


def _commands(
    parser: argparse.ArgumentParser, words: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser, str]]:
    for action in parser._actions:  # noqa: SLF001
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}  # noqa: SLF001
            for name, inner in action.choices.items():
                if inner.get_default("command"):
                    yield (*words, name), inner, helps[name]
                yield from _commands(inner, (*words, name))


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings as NAME=value lines; the environment wins"
    )


def _add_estimate(estimate: argparse.ArgumentParser) -> None:
    estimate.add_argument(
        "documents",
        nargs="?",
        type=Path,
        metavar="PATH",
        help="a folder of .txt files, or JSON Lines; default: what the group has left in the input topic",
    )
    _add_config(estimate)
    estimate.add_argument(
        "--price", type=_price, metavar="P", help="of 1,000 text records; default: the configured one"
    )
    estimate.add_argument(
        "--sample", type=_sample, default=2_000, metavar="N", help="records to read of a partition; default: 2000"
    )
    estimate.add_argument("--all", action="store_true", help="read every record, so that nothing is extrapolated")
    estimate.add_argument("--json", action="store_true", help="one JSON object")
    estimate.set_defaults(command=_estimate)


def _price(written: str) -> float:
    if not (0 <= (price := float(written)) < math.inf):
        raise argparse.ArgumentTypeError("give 0 or more")
    return price


def _sample(written: str) -> int:
    if (sample := int(written)) < FEWEST:
        raise argparse.ArgumentTypeError(f"give {FEWEST} or more")
    return sample


def _add_demo(demo: argparse.ArgumentParser) -> None:
    demo.add_argument(
        "--documents", type=Path, metavar="PATH", help="a folder of .txt files, or JSON Lines; default: the sample"
    )
    demo.add_argument("--once", action="store_true", help="end when every document has an outcome")
    demo.add_argument(
        "--json", action="store_true", help="published messages as JSON Lines on stdout, nothing else there"
    )
    demo.add_argument("--rate", type=_rate, metavar="N", help="documents a second; default: as fast as they come out")
    demo.add_argument("--port", type=_port, default=0, help="of metrics and probes; default: any that is free")
    demo.add_argument(
        "--log-level", default="warning", choices=["debug", "info", "warning", "error"], help="default: warning"
    )
    demo.set_defaults(command=_demo)


def _rate(written: str) -> float:
    if not (0 < (rate := float(written)) < math.inf):
        raise argparse.ArgumentTypeError("give a number above 0")
    return rate


def _port(written: str) -> int:
    if not 0 <= (port := int(written)) <= 65_535:
        raise argparse.ArgumentTypeError("give 0 to 65535; 0 is any that is free")
    return port


def _add_engine(engine: argparse.ArgumentParser) -> None:
    commands = engine.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve a model; without --model, one trained on the sample")
    serve.add_argument("--host", default="127.0.0.1", metavar="HOST", help="where to listen; default: 127.0.0.1")
    serve.add_argument("--port", type=int, default=5000, metavar="N", help="0: any that is free; default: 5000")
    serve.add_argument("--model", type=Path, metavar="FILE", help="what `engine train` saved")
    serve.add_argument("--project", default="incidents", metavar="NAME", help="default: incidents")
    serve.add_argument("--deployment", default="production", metavar="NAME", help="default: production")
    serve.add_argument(
        "--key-file", type=Path, metavar="FILE", help="holds the key that clients must send; default: any key"
    )
    serve.add_argument(
        "--workers",
        type=int,
        help="processes that run the model; 0: none but this one; default: the CPUs but one, at least one",
    )
    serve.set_defaults(command=_engine_serve)
    train = commands.add_parser("train", help="train a model and print its score on held-out documents")
    train.add_argument("labels", type=Path, help="a labels file in the format of Azure AI Language")
    train.add_argument("--documents", type=Path, required=True, metavar="DIR", help="the folder its locations are in")
    train.add_argument("--out", type=Path, default=Path("model"), help="where to save the model; default: ./model")
    train.add_argument("--json", action="store_true", help="the score as one JSON object")
    train.set_defaults(command=_engine_train)
