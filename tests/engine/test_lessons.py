"""Labels onto tokens: what a label means is what is learnt, and where that is impossible it is said."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from entity_stream.engine.corpus import LabelledDocument, Region, Span
from entity_stream.engine.lessons import Lesson, lesson


def learn(text: str, *spans: Span, **more: tuple[Region, ...]) -> tuple[Lesson, list[str]]:
    said: list[str] = []
    document = LabelledDocument("a.txt", text, spans=spans, **more)  # type: ignore[arg-type]
    return lesson(document, said.append), said


def test_a_label_is_the_tags_of_its_tokens() -> None:
    """The first token begins the entity, the others go on with it, and nothing has to be said."""
    told, said = learn("on 21 May 2024\nat noon", Span("Date", 3, 11), Span("Time", 18, 4))
    assert told.tags == [["O", "B-Date", "I-Date", "I-Date"], ["O", "B-Time"]]
    assert told.entities == {("Date", 1, 3), ("Time", 5, 5)}
    assert said == []


def test_a_label_across_lines_stays_one_entity() -> None:
    """A line end inside a label does not begin a second entity."""
    told, said = learn("Ann\r\nLee", Span("Name", 0, 8))
    assert told.tags == [["B-Name"], ["I-Name"]]
    assert said == []


def test_a_label_that_cuts_a_token_is_widened_and_reported() -> None:
    """A label on a part of a token is learnt for the whole token, and the report names both places."""
    told, said = learn("over 500GB now", Span("Size", 5, 3))
    assert told.tags == [["O", "B-Size", "O"]]
    assert said == ["a.txt: Size at 5 + 3 is learnt as 5 + 5, whole words"]


def test_labels_that_tokens_cannot_tell_apart_are_reported() -> None:
    """A second label on a token, or a label on blanks, cannot be learnt, and that is said."""
    told, said = learn("10kg now", Span("Count", 0, 2), Span("Unit", 2, 2), Span("Gap", 4, 1))
    assert told.tags == [["B-Count", "O"]]
    assert said[1:] == [
        "a.txt: Unit at 2 + 2 shares a word with the label before it: it is not learnt",
        "a.txt: Gap at 4 + 1 holds no word: it is not learnt",
    ]


def test_only_lines_that_somebody_labelled_are_taught() -> None:
    """A line outside of all regions is not taught, for its entities may not be labelled."""
    told, _ = learn("one\ntwo\nthree", regions=(Region(4, 3),))
    assert told.taught == [False, True, False]


@given(st.text("ab 1.\n"), st.data())
def test_every_label_is_learnt_or_reported(text: str, data: st.DataObject) -> None:
    """Whatever the labels: each becomes an entity over all its characters but blanks, or the report has it."""
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)))))
    spans = [Span("X", start, end - start) for start, end in pairwise(cuts)]
    told, said = learn(text, *spans)
    starts = [start for line in told.lines for start in line.starts]
    ends = [end for line in told.lines for end in line.ends]
    learnt = {(starts[first], ends[last]) for _, first, last in told.entities}
    for span in spans:
        marked = text[span.offset : span.end]
        start = span.offset + len(marked) - len(marked.lstrip())
        end = span.end - (len(marked) - len(marked.rstrip()))
        assert (start, end) in learnt or any(f"X at {span.offset} + {span.length} " in one for one in said)
