"""What a person sees of a document and of a dead letter."""

import json
from collections import Counter

from entity_stream.core.messages import Message
from entity_stream.demo.feeder import Place
from entity_stream.demo.run import place_of
from entity_stream.demo.screen import SHOWN, Palette, annotated, not_sent, rejected, summary

TEXT = "🚨 payments-api is down"


def message(text: str, offset: int, length: int) -> Message:
    entity = {"text": text[offset : offset + length], "category": "ServiceName"}
    entity |= {"offset": offset, "length": length, "confidenceScore": 0.9}  # type: ignore[dict-item]
    return Message("entities", b"k", json.dumps({"id": "INC-1", "entities": [entity]}).encode(), ())


def test_spans_are_highlighted_where_they_are() -> None:
    """The highlighted part of the text is the entity, also behind an emoji, with category and confidence below."""
    drawn = annotated(message(TEXT, 2, 12), TEXT, 0.21, Palette(), 80)
    highlighted = [drawn.plain[span.start : span.end] for span in drawn.spans if "underline" in str(span.style)]
    assert highlighted == ["payments-api"]
    assert "ServiceName payments-api 0.90" in drawn.plain
    assert drawn.plain.startswith("INC-1  1 entity, 0.21 s\n")


def test_line_ends_of_windows_shift_nothing() -> None:
    """Carriage returns are not drawn, and what stands behind them is highlighted where it is."""
    text = "first\r\nsecond\r\npayments-api is down"
    drawn = annotated(message(text, 15, 12), text, 0.21, Palette(), 80)
    assert [drawn.plain[span.start : span.end] for span in drawn.spans if "underline" in str(span.style)] == [
        "payments-api"
    ]


def test_a_text_cannot_command_the_terminal() -> None:
    """Escape sequences of a text, an id or a key are pictures, and highlights stay where they belong."""
    text = "\x1b[31m \x9b2J payments-api is down"
    drawn = annotated(message(text, 10, 12), text, 0.21, Palette(), 80)
    assert [drawn.plain[span.start : span.end] for span in drawn.spans if "underline" in str(span.style)] == [
        "payments-api"
    ]
    letter = rejected(Message("dead", b"\x1b]0;title\x07", b"?", ()))
    for shown in (drawn.plain, letter.plain, not_sent("a\x1bb\n.txt", 2, 1).plain):
        assert not {"\x1b", "\x9b", "\x07"} & set(shown)


def test_no_label_is_torn_by_the_end_of_a_line() -> None:
    """On a narrow screen the entities stand below each other, each with its confidence."""
    entities = [{"text": "web-07", "category": "ServerName", "offset": 7 * at, "length": 6} for at in range(5)]
    value = json.dumps({"id": "INC-1", "entities": [one | {"confidenceScore": 0.9} for one in entities]})
    drawn = annotated(Message("entities", b"k", value.encode(), ()), "web-07 " * 5, 0.1, Palette(), 50)
    assert drawn.plain.splitlines()[2:] == ["  ServerName web-07 0.90  ServerName web-07 0.90"] * 2 + [
        "  ServerName web-07 0.90"
    ]


def test_entities_behind_the_cut_are_counted() -> None:
    """What is not shown of a long text has no label; the number says that it is there."""
    text = "x " * SHOWN
    assert "and 1 further down" in annotated(message(text, SHOWN, 1), text, 0.1, Palette(), 80).plain


def test_the_end_says_what_came_of_it() -> None:
    """Outcomes are counted, and so is what the stop left without one."""
    assert summary(Counter(rejected=1, annotated=5), 2.0, left=3).plain == (
        "5 annotated, 1 rejected, 3 left behind in 2.0 s"
    )
    assert summary(Counter(), 2.0, left=0).plain == "nothing fed in 2.0 s"


def test_a_long_text_is_cut() -> None:
    """Of a text of a megabyte a screenful is shown."""
    drawn = annotated(message("x " * 500_000, 0, 1), "x " * 500_000, 0.1, Palette(), 80)
    assert len(drawn.plain) < SHOWN + 200


def test_markup_in_a_text_is_text() -> None:
    """What looks like the screen's own markup is shown as it is."""
    text = "[bold]not bold[/bold] :smile:"
    assert text in annotated(message(text, 0, 1), text, 0.1, Palette(), 80).plain


def test_a_dead_letter_says_why() -> None:
    """Key and reason of a dead letter are shown, whatever bytes they are."""
    headers = (("entity-stream-reason", b"invalid-json"), ("entity-stream-message", b"not JSON"))
    assert (
        rejected(Message("dead", b"\xffkey", b"?", headers)).plain == "\ufffdkey  dead letter  invalid-json: not JSON\n"
    )


def test_what_others_write_into_the_broker_is_passed_over() -> None:
    """Any client may: what is no outcome of ours has no place among the documents."""
    for foreign in (b"hello", b"", b'{"source":{"partition":"x","offset":1}}', None):
        assert place_of(Message("entities", None, foreign, ()), is_letter=False) is None
        assert place_of(Message("letters", None, foreign, ()), is_letter=True) is None
    ours = b'{"source":{"partition":3,"offset":1}}'
    assert place_of(Message("entities", None, ours, ()), is_letter=False) == Place(3, 1)
