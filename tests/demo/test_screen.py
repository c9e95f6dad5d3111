"""What a person sees of a document and of a dead letter."""

import json

from entity_stream.core.messages import Message
from entity_stream.demo.screen import SHOWN, Palette, annotated, rejected

TEXT = "🚨 payments-api is down"


def message(text: str, offset: int, length: int) -> Message:
    entity = {"text": text[offset : offset + length], "category": "ServiceName"}
    entity |= {"offset": offset, "length": length, "confidenceScore": 0.9}  # type: ignore[dict-item]
    return Message("entities", b"k", json.dumps({"id": "INC-1", "entities": [entity]}).encode(), ())


def test_spans_are_highlighted_where_they_are() -> None:
    """The highlighted part of the text is the entity, also behind an emoji, with category and confidence below."""
    drawn = annotated(message(TEXT, 2, 12), TEXT, 0.21, Palette())
    highlighted = [drawn.plain[span.start : span.end] for span in drawn.spans if "underline" in str(span.style)]
    assert highlighted == ["payments-api"]
    assert "ServiceName payments-api 0.90" in drawn.plain
    assert drawn.plain.startswith("INC-1  1 entities, 0.21 s\n")


def test_line_ends_of_windows_shift_nothing() -> None:
    """Carriage returns are not drawn, and what stands behind them is highlighted where it is."""
    text = "first\r\nsecond\r\npayments-api is down"
    drawn = annotated(message(text, 15, 12), text, 0.21, Palette())
    assert [drawn.plain[span.start : span.end] for span in drawn.spans if "underline" in str(span.style)] == [
        "payments-api"
    ]


def test_a_long_text_is_cut() -> None:
    """Of a text of a megabyte a screenful is shown."""
    drawn = annotated(message("x " * 500_000, 0, 1), "x " * 500_000, 0.1, Palette())
    assert len(drawn.plain) < SHOWN + 200


def test_markup_in_a_text_is_text() -> None:
    """What looks like the screen's own markup is shown as it is."""
    text = "[bold]not bold[/bold] :smile:"
    assert text in annotated(message(text, 0, 1), text, 0.1, Palette()).plain


def test_a_dead_letter_says_why() -> None:
    """Key and reason of a dead letter are shown, whatever bytes they are."""
    headers = (("entity-stream-reason", b"invalid-json"), ("entity-stream-message", b"not JSON"))
    assert (
        rejected(Message("dead", b"\xffkey", b"?", headers)).plain == "\ufffdkey  dead letter  invalid-json: not JSON\n"
    )
