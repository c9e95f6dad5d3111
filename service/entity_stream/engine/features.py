"""What the model sees of a text: its tokens, line by line, and what is remarkable about each of them.

Training and prediction come through here alike, and only the text decides: the same text has the
same features in every process, for ever. Every list is in a fixed order for that reason.

Whatever can be said of a word without its neighbours is said once and remembered (in a bounded
cache), which is most of the work.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal

from msgspec import Struct

Preset = Literal["prose", "form"]
"""Prose is running text; in a form the line tells what stands on it."""

Items = list[list[str]]
"""For each token of a line, its features."""

LINE = re.compile(r"[^\r\n]+")
RUN = re.compile(r"\S{1,100}")
"""What stands between blanks. Longer runs are cut: no token is longer, whatever the text."""
TOKEN = re.compile(r"\w+|[^\w\s]")
MAX_LINE = 500
"""Tokens. Longer lines are cut: training and decoding need memory by the line."""

UNFIT = re.compile("[\0\ud800-\udfff]")
"""NUL ends a string in C, and a lone surrogate has no UTF-8: the model sees a replacement character."""
WRAPPING = ".,;:!?()[]{}<>\"'`“”‘’«»…"
"""What may stand around a pattern without being a part of it."""
PATTERN = re.compile(
    r"""(?x)
      (?P<date>\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}) | (?P<timestamp>\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-][\d:]+)?)
    | (?P<time>\d{1,2}:\d\d(:\d\d)?([.,]\d+)?(Z|[AaPp][Mm])?)
    | (?P<percent>[+-]?\d+([.,]\d+)*%) | (?P<money>[$€£¥][\d.,]*\d[kKmMbB]?)
    | (?P<url>(\w+://|www\.)\S+) | (?P<mail>[\w.+-]+@[\w-]+\.[\w.-]+)
    | (?P<ip>\d{1,3}(\.\d{1,3}){3}(:\d+|/\d+)?) | (?P<cve>CVE-\d+-\d+)
    | (?P<hash>(?=[0-9a-f]*\d)[0-9a-f]{7,128}|[0-9A-F]{16,128})
    | (?P<path>([A-Za-z]:\\|~?/|\\\\|\.{1,2}/)\S+) | (?P<dotted>[\w-]+(\.[\w-]+)+)
    | (?P<snake>\w+_\w+) | (?P<camel>\w*[a-z]+[A-Z]\w*) | (?P<code>(?=\S*\d)(?=\S*[A-Za-z])[\w-]+)
    | (?P<hyphened>\w+(-\w+)+) | (?P<number>[+-]?\d+([.,]\d+)*)
    """
)
QUOTES = frozenset('"“”')
SENTENCE_ENDS = frozenset('.!?"')
MAX_QUOTED = 4
"""Tokens of a quoted term: longer ones are speech."""
MAX_LABEL = 6
"""Tokens before a colon that may name what follows."""
MAX_OCCURRENCES = 6
"""Places of a word in the document that its other places look at."""


class Word(Struct, frozen=True, gc=False):
    """A token, and what can be said of it wherever it stands."""

    text: str
    lower: str
    shape: str
    marked: bool
    """It has a capital or a digit, as names have."""
    own: tuple[str, ...]
    left: tuple[tuple[str, ...], ...]
    """What it tells of a token when it stands one, two, three or four places to the left of it."""
    right: tuple[tuple[str, ...], ...]


class Line(Struct, frozen=True):
    """The tokens of a line; where they start and end in the text."""

    starts: list[int]
    ends: list[int]
    words: list[Word]


def read_lines(text: str) -> list[Line]:
    """Find the tokens of a text; lines without any are left out."""
    lines = []
    for line in LINE.finditer(text):
        starts: list[int] = []
        ends: list[int] = []
        words: list[Word] = []
        for run in RUN.finditer(text, line.start(), line.end()):
            at = run.start()
            for start, end, word in _read_run(run[0]):
                starts.append(at + start)
                ends.append(at + end)
                words.append(word)
        for cut in range(0, len(words), MAX_LINE):
            part = slice(cut, cut + MAX_LINE)
            lines.append(Line(starts[part], ends[part], words[part]))
    return lines


def describe(lines: Sequence[Line], preset: Preset) -> Iterator[Items]:
    """Give the features of each line in turn: its tokens, the document, and in a form the line."""
    occurrences = _occurrences(lines)
    above = BEGIN
    for line in lines:
        items = _surroundings(line.words)
        _recall(items, line.words, occurrences)
        if preset == "form":
            _place(items, line.words, above)
        yield items
        above = line.words[-1]


@lru_cache(maxsize=16_384)
def _read_run(run: str) -> tuple[tuple[int, int, Word], ...]:
    run = UNFIT.sub("\ufffd", run)
    pattern, start, end = _pattern(run)
    found = []
    for token in TOKEN.finditer(run):
        at = token.start()
        inside = pattern if start <= at < end else ""
        found.append((at, token.end(), _word(token[0], glued=at > 0, pattern=inside, first=at == start)))
    return tuple(found)


def _pattern(run: str) -> tuple[str, int, int]:
    """Say what a run of characters looks like as a whole, and where in it that begins and ends."""
    core = run.strip(WRAPPING)
    match = PATTERN.fullmatch(core)
    start = run.find(core)
    return (match.lastgroup or "" if match else "", start, start + len(core))


def _word(text: str, *, glued: bool, pattern: str, first: bool) -> Word:
    lower, full = text.lower(), _shape(text)
    shape = re.sub(r"(.)\1+", r"\1", full)
    far = (f"={lower}", f"shape={shape}")
    near = [*far, f"ends={lower[-3:]}"]
    if pattern:
        near.append(f"pattern={pattern}")
    if glued:
        near.append("glued")
    return Word(
        text,
        lower,
        shape,
        marked=any(one.isupper() or one.isdigit() for one in text),
        own=(*_spelling(text, lower, full, shape), *_flags(text, glued=glued, pattern=pattern, first=first)),
        left=_seen_from("-", near, far),
        right=_seen_from("+", near, far),
    )


def _spelling(text: str, lower: str, full: str, shape: str) -> Iterator[str]:
    yield from ("bias", f"={lower}", f"full={full}", f"shape={shape}")
    if len(text) > 3:
        yield f"word={text}"
    for length in range(1, min(len(text), 5)):
        yield f"begins={lower[:length]}"
        yield f"ends={lower[-length:]}"


def _flags(text: str, *, glued: bool, pattern: str, first: bool) -> Iterator[str]:
    flags = {
        "glued": glued,
        "title": text.istitle(),
        "upper": text.isupper(),
        f"digits={len(text)}": text.isdigit(),
        "punctuation": not text.isalnum(),
        "long": len(text) > 12,
        f"pattern={pattern}": pattern,
        f"begins pattern={pattern}": pattern and first,
    }
    yield from (name for name, true in flags.items() if true)


def _shape(text: str) -> str:
    """Capitals as X, other letters as x, digits as d, all else as it is; the start is enough."""
    return "".join(
        "d" if one.isdigit() else "X" if one.isupper() else "x" if one.isalpha() else one for one in text[:20]
    )


def _seen_from(side: str, near: Sequence[str], far: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    by_distance = (near, far, far[:1], far[:1])
    return tuple(tuple(f"{side}{i}{one}" for one in ones) for i, ones in enumerate(by_distance, 1))


def _edge(name: str) -> Word:
    """Make the word that stands beyond an end of each line."""
    beyond = [name]
    return Word(
        name,
        name,
        name,
        marked=False,
        own=(),
        left=_seen_from("-", beyond, beyond),
        right=_seen_from("+", beyond, beyond),
    )


BEGIN, END = _edge("<<"), _edge(">>")


class _Occurrences(Struct, frozen=True):
    """What the document knows of its marked words, lower-cased."""

    lower: set[str]
    """Words that stand somewhere without a capital."""
    capitalised: set[str]
    """Words that have a capital where no sentence asks for one."""
    neighbours: dict[str, list[tuple[str, str]]]
    """The words before and after, at its first places."""


def _occurrences(lines: Sequence[Line]) -> _Occurrences:
    found = _Occurrences(set(), set(), {})
    for line in lines:
        words = line.words
        for before, word, after in zip([BEGIN, *words], words, [*words[1:], END], strict=False):
            if not word.marked:
                found.lower.add(word.lower)
                continue
            if word.text[0].isupper() and before is not BEGIN and before.text not in SENTENCE_ENDS:
                found.capitalised.add(word.lower)
            places = found.neighbours.setdefault(word.lower, [])
            place = (before.lower, after.lower)
            if len(places) < MAX_OCCURRENCES and place not in places:
                places.append(place)
    return found


def _surroundings(words: list[Word]) -> Items:
    """Give each token's own features and those of the two words on either side."""
    items = []
    before2, before1 = [BEGIN, BEGIN, *words], [BEGIN, *words]
    after1, after2 = [*words[1:], END], [*words[2:], END, END]
    for a, b, word, c, d in zip(before2, before1, words, after1, after2, strict=False):
        lower, shape, left, right = word.lower, word.shape, b.lower, c.lower
        items.append(
            [
                *word.own,
                *b.left[0],
                *c.right[0],
                *a.left[1],
                *d.right[1],
                f"-1,0={left} {lower}",
                f"0,+1={lower} {right}",
                f"-1,+1={left} {right}",
                f"-2,-1={a.lower} {left}",
                f"+1,+2={right} {d.lower}",
                f"shapes-1,0={b.shape} {shape}",
                f"shapes0,+1={shape} {c.shape}",
                f"shapes={b.shape} {shape} {c.shape}",
            ]
        )
    return items


def _recall(items: Items, words: list[Word], document: _Occurrences) -> None:
    """Add what the rest of the document says of each marked word."""
    for i, (item, word) in enumerate(zip(items, words, strict=True)):
        if not word.marked:
            continue
        if word.lower in document.lower:
            item.append("elsewhere lower")
        if word.lower in document.capitalised:
            item.append("elsewhere capitalised")
        places = document.neighbours[word.lower]
        if len(places) > 1:
            before = words[i - 1] if i else BEGIN
            after = words[i + 1] if i + 1 < len(words) else END
            item.append("elsewhere too")
            for place in places:
                if place != (before.lower, after.lower):
                    item.extend((f"elsewhere-1={place[0]}", f"elsewhere+1={place[1]}"))


def _place(items: Items, words: list[Word], above: Word) -> None:
    """Add what the line says of each of its tokens, and words further away."""
    second = words[1] if len(words) > 1 else END
    everywhere = (f"line={words[0].lower}", f"line2={words[0].lower} {second.lower}", f"above={above.lower}")
    padded = [BEGIN] * 4 + words + [END] * 4
    labels, quotes = _labels(words), _quotes(words)
    for i, item in enumerate(items):
        left4, left3, right3, right4 = padded[i], padded[i + 1], padded[i + 7], padded[i + 8]
        item.extend((*left4.left[3], *left3.left[2], *right3.right[2], *right4.right[3]))
        item.extend((*everywhere, *labels[i], *quotes[i]))


def _labels(words: list[Word]) -> list[tuple[str, ...]]:
    """For each token, the words before the colon that it stands behind, when they are few."""
    colon = next((i for i, word in enumerate(words[: MAX_LABEL + 1]) if word.text == ":"), None)
    if colon is None:
        return [()] * len(words)
    label = f"label={' '.join(word.lower for word in words[:colon])}"
    return [()] * (colon + 1) + [(label,)] * (len(words) - colon - 1)


def _quotes(words: list[Word]) -> list[tuple[str, ...]]:
    """For each token, the next quoted term on its line, as in: Ann Lee (the "Borrower")."""
    marks = [i for i, word in enumerate(words) if word.text in QUOTES]
    told: list[tuple[str, ...]] = []
    for opening, closing in zip(marks[::2], marks[1::2], strict=False):
        if 1 < closing - opening <= MAX_QUOTED + 1:
            term = f"quote={' '.join(word.lower for word in words[opening + 1 : closing])}"
            told += [(term,)] * (opening - len(told))
    return told + [()] * (len(words) - len(told))
