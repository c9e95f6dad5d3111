"""Labelled incident reports to train and test on. Bytes matter: labels count UTF-16 units, CR included."""

from pathlib import Path

LABELS: Path = Path(__file__).with_name("labels.json")
"""The labels file, as Azure AI Language imports it: a project called `incidents`."""

DOCUMENTS: Path = Path(__file__).with_name("documents")
"""The folder in which the labels file's locations are found: UTF-8, line ends as they were written."""
