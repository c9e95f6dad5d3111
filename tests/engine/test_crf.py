"""The model: it learns from few documents, any text survives it, and saved and loaded it is the same model."""

import json
import re
import subprocess
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entity_stream.core.mistake import Mistake
from entity_stream.engine.corpus import LabelledDocument, Region, Span
from entity_stream.engine.crf import Model, train
from entity_stream.engine.evaluation import evaluate

NAMES = ["Ann Lee", "Bob Ray", "Cleo Marsh", "Dan Ruiz", "Eve Stone", "Finn Bay", "Gil Ford", "Hana Ito"]
ROOM = "Mia said that room {} is cold again. "
FORM = "Request\r\n\r\nAsks (in full): {}\r\nAsked (in full): {}\r\nRoom: {}\r\nThanks, {}"


def form(number: int) -> LabelledDocument:
    """Make a form in which only the line tells who asks and who is asked; signatures are not labelled."""
    asks, asked, signs = NAMES[number % 8], NAMES[(number * 3 + 1) % 8], NAMES[(number * 5 + 2) % 8]
    text = FORM.format(asks, asked, 100 + number, signs)
    second = 27 + len(asks) + 19
    spans = (
        Span("Asks", 27, len(asks)),
        Span("Asked", second, len(asked)),
        Span("Room", second + len(asked) + 8, 3),
    )
    return LabelledDocument(f"{number}.txt", text, spans=spans)


def prose(number: int) -> LabelledDocument:
    room = f"{chr(65 + number % 3)}{100 + number}"
    text = ROOM.format(room) * 2
    second = len(text) // 2
    return LabelledDocument(
        f"{number}.txt", text, spans=(Span("Room", 19, len(room)), Span("Room", second + 19, len(room)))
    )


@cache
def forms() -> Model:
    return train([form(number) for number in range(12)])


def test_the_labels_of_the_fixtures_are_where_they_claim() -> None:
    """The made-up documents label names and rooms."""
    document = form(3)
    assert [document.text[span.offset : span.end] for span in document.spans] == ["Dan Ruiz", "Cleo Marsh", "103"]


def test_it_learns_a_form_from_a_dozen() -> None:
    """Names that are told apart only by their line are found in forms it has not seen."""
    unseen = [form(number) for number in range(12, 20)]
    result = evaluate(unseen, [forms().predict(document.text) for document in unseen])
    assert forms().card.preset == "form"
    assert forms().categories == ("Asked", "Asks", "Room")
    assert result.micro.f1 > 0.9


def test_it_learns_prose_as_prose() -> None:
    """Running text, where the line tells nothing, is read by the other preset."""
    model = train([prose(number) for number in range(6)])
    assert model.card.preset == "prose"
    assert [span.category for span in model.predict(ROOM.format("C240"))] == ["Room"]


def test_the_same_documents_give_the_same_model_in_any_order(tmp_path: Path) -> None:
    """Training is repeatable to the byte: the order of documents and the process do not matter."""
    code = (
        "import sys, pathlib, msgspec; from entity_stream.engine.crf import *;"
        "documents = msgspec.json.decode(sys.stdin.buffer.read(), type=list[LabelledDocument]);"
        "train(documents).save(pathlib.Path(sys.argv[1]))"
    )
    documents = msgspec.json.encode([form(number) for number in reversed(range(12))])
    forms().save(tmp_path / "here")
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "there")], input=documents, check=True)
    assert (tmp_path / "here").read_bytes() == (tmp_path / "there").read_bytes()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    forms().save(tmp_path / "model")
    return tmp_path / "model"


def test_a_loaded_model_is_the_saved_one(saved: Path) -> None:
    """After a round trip through its file, a model finds the same, just as surely."""
    loaded = Model.load(saved)
    assert loaded.card == forms().card
    for number in range(30):
        assert loaded.predict(form(number).text) == forms().predict(form(number).text)


def test_saving_replaces_the_file_at_once(saved: Path) -> None:
    """A second save leaves one whole file, and nothing beside it."""
    forms().save(saved)
    assert Model.load(saved).card == forms().card
    assert list(saved.parent.iterdir()) == [saved]


def test_a_model_of_another_version_is_refused(saved: Path) -> None:
    """A model that this program does not understand is a Mistake, whatever else its file holds."""
    head, _, weights = saved.read_bytes().partition(b"\n")
    saved.write_bytes(json.dumps({"version": 2, "new": head.decode()}).encode() + b"\n" + weights)
    with pytest.raises(Mistake, match="version 2, not 1"):
        Model.load(saved)


@given(where=st.floats(0, 1, exclude_max=True), flips=st.booleans())
@settings(max_examples=25)
def test_a_broken_file_is_a_mistake(tmp_path_factory: pytest.TempPathFactory, where: float, *, flips: bool) -> None:
    """A file that was cut short, or whose weights were changed, never reaches crfsuite: it would crash."""
    path = tmp_path_factory.getbasetemp() / "broken"
    forms().save(path)
    whole = bytearray(path.read_bytes())
    weights = whole.index(b"\n") + 1
    if flips:
        whole[weights + int(where * (len(whole) - weights))] ^= 1
    else:
        del whole[int(where * len(whole)) :]
    path.write_bytes(whole)
    with pytest.raises(Mistake, match="Train the model again"):
        Model.load(path)


def test_a_missing_model_is_a_mistake(tmp_path: Path) -> None:
    """The Mistake names the path that was asked for."""
    with pytest.raises(Mistake, match="nowhere"):
        Model.load(tmp_path / "nowhere")


PIECES = st.sampled_from(
    ["Asks (in full): ", "Ann Lee", "\r\n", "\n", " ", ":", '"', "\\", "\0", "😀", "\ud800", "\u2028", "İ", "101"]
)


@given(st.lists(PIECES | st.text(max_size=5)).map("".join))
@settings(max_examples=200, deadline=None)
def test_any_text_is_survived(text: str) -> None:
    """Whatever the text: entities are within it, not blank, sorted, apart, and neither certain nor impossible."""
    spans = forms().predict(text)
    for span in spans:
        assert span.offset >= 0
        assert span.end <= len(text)
        assert text[span.offset : span.end].strip()
        assert 0.01 <= span.confidence <= 0.99
        assert span.confidence == round(span.confidence, 2)
        assert span.category in forms().categories
    assert all(one.end <= other.offset for one, other in pairwise(spans))
    assert forms().predict(text) == spans


@pytest.mark.parametrize("piece", ["a", ".", "😀", "Asks (in full): Ann Lee "])
def test_a_long_line_is_survived(piece: str) -> None:
    """A line without an end, with or without blanks, is read in bounded pieces."""
    text = piece * (30_000 // len(piece))
    assert all(span.end <= len(text) for span in forms().predict(text))


def test_offsets_count_code_points() -> None:
    """Astral characters before an entity count one each."""
    text = "😀😀 " + form(1).text
    assert [text[span.offset : span.end] for span in forms().predict(text)][:2] == ["Bob Ray", "Eve Stone"]


def test_a_single_document_is_enough() -> None:
    """With one document there is nothing to hold out, and still a model comes out."""
    model = train([form(1)])
    assert [span.category for span in model.predict(form(1).text)] == ["Asks", "Asked", "Room"]


def test_without_labels_there_is_nothing_to_learn() -> None:
    """Documents without a label, or none at all, are a Mistake."""
    for documents in ([], [LabelledDocument("a", "nothing here")], [LabelledDocument("a", "")]):
        with pytest.raises(Mistake, match="nothing to learn"):
            train(documents)


def test_what_lies_outside_a_region_teaches_nothing() -> None:
    """An entity that nobody labelled because it is outside the region is not learnt to be none."""
    first = form(0).text
    documents = [
        LabelledDocument(one.location, one.text + first, spans=one.spans, regions=(Region(0, len(one.text)),))
        for one in map(form, range(1, 8))
    ]
    found = {(span.category, first[span.offset : span.end]) for span in train(documents).predict(first)}
    assert ("Asks", "Ann Lee") in found


def test_training_says_what_it_does_and_what_it_bent() -> None:
    """Progress tells what there is to learn, what was compared, and each label that had to be widened."""
    said: list[str] = []
    bent = LabelledDocument("bent.txt", "Asks (in full): Ann Lee", spans=(Span("Asks", 16, 5),))
    train([*map(form, range(3)), bent], said.append)
    assert said[0] == "bent.txt: Asks at 16 + 5 is learnt as 16 + 7, whole words"
    assert said[1] == "4 documents with 10 labels of 3 categories"
    assert said[2].startswith("held out, F1 is prose ")


def test_many_predictions_make_confidence_honest() -> None:
    """From 500 predictions on, confidence is the share of what is right among what looks the same."""
    text = "".join(ROOM.format(number) for number in range(100, 200))
    places = [match.span() for match in re.finditer(r"\d+", text)]
    rooms = [Span("Room", start, end - start) for start, end in places]
    documents = [
        LabelledDocument(str(number), text, spans=tuple(one for i, one in enumerate(rooms) if (i + number) % 4))
        for number in range(9)
    ]
    model = train(documents)
    sure = [span.confidence for span in model.predict(text)]
    assert len(model.card.calibration) == 4
    assert 0.6 < fmean(sure) < 0.9
