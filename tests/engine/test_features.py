"""What the model sees of a text: every token where it stands, described the same way every time."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entity_stream.engine.features import MAX_LINE, Items, Preset, describe, read_lines

TEXTS = st.text(st.sampled_from("aB9 .:\"'-_/\r\n\t\0é😀\ud800\u2028İß") | st.characters())


def described(text: str, preset: Preset = "prose") -> dict[str, list[str]]:
    """Give the features of each token of a text whose tokens are all different."""
    lines = read_lines(text)
    items = [item for line in describe(lines, preset) for item in line]
    names = [text[start:end] for line in lines for start, end in zip(line.starts, line.ends, strict=True)]
    return dict(zip(names, items, strict=True))


@given(TEXTS)
def test_tokens_are_words_and_signs_where_they_stand(text: str) -> None:
    """The tokens of a text are its words and its other characters but blanks, in order."""
    found = [place for line in read_lines(text) for place in zip(line.starts, line.ends, strict=True)]
    assert found == [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]


@given(TEXTS, st.sampled_from(["prose", "form"]))
def test_every_token_is_described_alike_every_time(text: str, preset: Preset) -> None:
    """Each token has features, all of them can be written as UTF-8 without NUL, and twice gives the same."""
    lines = read_lines(text)
    items = list(describe(lines, preset))
    assert [len(line) for line in items] == [len(line.words) for line in lines]
    for feature in (feature for line in items for item in line for feature in item):
        assert b"\0" not in feature.encode()
        assert not re.search(r"[\r\n]", feature)
    assert list(describe(read_lines(text), preset)) == items


def test_no_line_and_no_token_is_endless() -> None:
    """A text without a blank or a line end is cut: into lines of 500 tokens, into tokens of 100 characters."""
    (signs, *_), (words, *_) = read_lines("." * 1_200), read_lines("a" * 250)
    assert len(read_lines("." * 1_200)) == 3
    assert len(signs.words) == MAX_LINE
    assert list(zip(words.starts, words.ends, strict=True)) == [(0, 100), (100, 200), (200, 250)]


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("2024-11-21", "date"),
        ("6/29/2018.", "date"),
        ("02:11", "time"),
        ("2024-11-21T02:11:05Z", "timestamp"),
        ("(5%)", "percent"),
        ("($623,463.00)", "money"),
        ("https://example.org/a?b=c", "url"),
        ("<ann@example.org>", "mail"),
        ("10.1.2.3:8080", "ip"),
        ("CVE-2024-3094", "cve"),
        ("9f86d081884c7d65", "hash"),
        ("/var/log/syslog", "path"),
        ("C:\\Windows\\System32", "path"),
        ("api.example.org", "dotted"),
        ("max_connections", "snake"),
        ("LedgerSync", "camel"),
        ("web-prod-03", "code"),
        ("follow-up", "hyphened"),
        ("1,000.5", "number"),
    ],
)
def test_patterns_are_told_to_each_of_their_tokens(text: str, pattern: str) -> None:
    """A run of characters that looks like something says so at each of its tokens, signs around it apart."""
    core = text.strip("().<>")
    lines = read_lines(text)
    (items,) = list(describe(lines, "prose"))
    for start, item in zip(lines[0].starts, items, strict=True):
        inside = text.index(core) <= start < text.index(core) + len(core)
        assert (f"pattern={pattern}" in item) == inside


@pytest.mark.parametrize("text", ["plain", "Plain", "it's", "...", "(said)"])
def test_plain_words_are_no_pattern(text: str) -> None:
    """What looks like nothing in particular is not said to."""
    assert not [one for item in described(text).values() for one in item if one.startswith("pattern")]


def test_a_token_knows_its_neighbours() -> None:
    """The two words on either side are seen, and the ends of the line as well."""
    items = described("one two three four\nnext")
    assert {"-1=one", "-1,0=one two", "+1=three", "+2=four", "-2<<"} <= set(items["two"])
    assert {"+1>>", "-1=three"} <= set(items["four"])


def test_a_marked_word_knows_its_other_places() -> None:
    """A capitalised word learns from the rest of the document; nothing is learnt from its own place."""
    text = "restart Ledger now\nthe ledger of fame\nwhen Ledger fails"
    first, _, third = (line[1] for line in describe(read_lines(text), "prose"))
    assert {"elsewhere lower", "elsewhere capitalised", "elsewhere-1=when", "elsewhere+1=fails"} <= set(first)
    assert "elsewhere-1=restart" not in first
    assert "elsewhere-1=restart" in third


def test_a_form_tells_its_tokens_the_line_they_stand_on() -> None:
    """In a form, tokens know the label before the colon, the next quoted term and the line above."""
    text = 'Parties\r\nBorrower name: Ann Lee (the "Borrower") and Bob (the "Lender")'
    items = described(text.replace("Borrower name", "Party"), "form")
    assert {"label=party", "line=party", "above=parties", "quote=borrower"} <= set(items["Ann"])
    assert "quote=lender" in items["Bob"]
    told = [one for item in described("Party: Ann", "prose").values() for one in item]
    assert not [one for one in told if one.startswith(("label", "line", "above", "quote"))]


def items_of(text: str) -> list[Items]:
    return list(describe(read_lines(text), "form"))


def test_a_lonely_quote_quotes_nothing() -> None:
    """A quotation mark without its pair, or far from it, names no term."""
    for text in ('so "Ann said', 'he said "this is far too long for a term" yes', '"" empty'):
        assert not [one for line in items_of(text) for item in line for one in item if one.startswith("quote")]
