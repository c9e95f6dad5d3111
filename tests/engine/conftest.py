"""What the tests of the engine share: a model, trained once."""

from pathlib import Path

import pytest

from entity_stream.engine.corpus import read_corpus
from entity_stream.engine.crf import train
from entity_stream.sample import DOCUMENTS, LABELS


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a small model that finds something in the reports of the sample."""
    path = tmp_path_factory.mktemp("engine") / "model"
    train(read_corpus(LABELS, DOCUMENTS)[:15]).save(path)
    return path
