"""The user's own input as records: a folder of text files, one text file, or JSON Lines.

What is not a document is sent all the same, as it is: the service says what is wrong with it.
"""

import os
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from itertools import chain, cycle, islice
from pathlib import Path

import msgspec
from msgspec import Struct

from entity_stream.core.mistake import Mistake


class Fed(Struct, frozen=True):
    """One record that goes into the input topic."""

    key: bytes
    value: bytes


class _Named(Struct):
    id: str | None = None


def read(path: Path, option: str = "--documents") -> Iterator[Fed]:
    """Read what the user names with an option, a record at a time. Raises Mistake."""
    try:
        if path.is_dir():
            yield from _folder(path, option)
        elif path.suffix in {".txt", ".md", ".text"}:
            yield _text(path, path.name)
        else:
            yield from _lines(path)
    except OSError as error:
        raise Mistake(
            f"cannot read {error.filename or path}: {error.strerror}",
            option,
            "Name a file or a folder that can be read.",
        ) from error


def begun(records: Iterator[Fed]) -> Iterator[Fed]:
    """Read the first record at once, so that a mistake is told before anything is started."""
    return chain(list(islice(records, 1)), records)


def sample(folder: Path, first: Sequence[str], *, endlessly: bool) -> Iterator[Fed]:
    """Read the packaged sample, once or over and over; `first` names the files to begin with."""
    paths = sorted(folder.iterdir(), key=lambda path: (path.name not in first, path.name))
    reports = [_text(path, path.stem) for path in paths]
    return cycle(reports) if endlessly else iter(reports)


def _folder(folder: Path, option: str) -> Iterator[Fed]:
    paths = sorted(path for path in _text_files(folder) if path.is_file())
    if not paths:
        raise Mistake(f"no .txt file below {folder}", option, "Name a folder of text files, or a JSON Lines file.")
    for path in paths:
        yield _text(path, str(path.relative_to(folder)))


def _text_files(folder: Path) -> Iterator[Path]:
    """Find the text files below a folder; one that cannot be listed is an error, not an empty one."""

    def refuse(error: OSError) -> None:
        raise error

    for parent, _, names in os.walk(folder, onerror=refuse):
        yield from (Path(parent, name) for name in names if name.lower().endswith(".txt"))


def _text(path: Path, name: str) -> Fed:
    """Wrap a text file, its line ends untouched; what is not UTF-8 goes as it is."""
    raw = path.read_bytes()
    key = name.encode("utf-8", "replace")  # a file's name is any bytes, an id is text
    try:
        value = msgspec.json.encode({"id": key.decode(), "text": raw.removeprefix(BOM_UTF8).decode()})
    except UnicodeDecodeError:
        value = raw
    return Fed(key, value)


def _lines(path: Path) -> Iterator[Fed]:
    """Read JSON Lines; a line without an id of its own is called by its file and number."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if value := line.removeprefix(BOM_UTF8 if number == 1 else b"").strip():
                yield Fed((_id(value) or f"{path.name}:{number}").encode("utf-8", "replace"), value)


def _id(value: bytes) -> str | None:
    try:
        return msgspec.json.decode(value, type=_Named).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
