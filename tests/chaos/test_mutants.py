"""Every mutant still breaks what it says it breaks: its patch applies, changes code, and names its finding."""

import ast
from pathlib import Path

import pytest

from tests.chaos.drills import DRILLS
from tests.chaos.patches import MUTANTS, PACKAGE, Mutant, Unfit, applied, copied, mutants, read
from tests.judge.findings import RULES

ALL = mutants()
SAMPLE = """\
Breaks: a promise.
Found by: lost
Trouble: kills

--- a/service/entity_stream/core/x.py
+++ b/service/entity_stream/core/x.py
@@ -7,3 +7,3 @@
 before
-old
+new
 after
"""


def test_there_are_enough() -> None:
    """At least eight promises are broken, and every patch of the folder is read."""
    assert len(ALL) >= 8
    assert {mutant.name for mutant in ALL} == {path.stem for path in MUTANTS.iterdir()}


@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: mutant.name)
def test_a_mutant_is_another_service(mutant: Mutant, tmp_path: Path) -> None:
    """Its patch applies to the service as it is, and what comes of it is code, but other code."""
    copied(mutant, tmp_path)
    for file in {hunk.file for hunk in mutant.hunks}:
        before, after = (PACKAGE / file).read_text("utf-8"), (tmp_path / PACKAGE.name / file).read_text("utf-8")
        assert ast.dump(ast.parse(before)) != ast.dump(ast.parse(after))


@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: mutant.name)
def test_a_mutant_names_its_finding_and_its_drill(mutant: Mutant) -> None:
    """It says what promise it breaks, which finding of the checker must tell, and which drill brings it to light."""
    assert mutant.promise.endswith(".")
    assert set(mutant.finding.split(" or ")) <= RULES.keys()
    assert mutant.trouble in DRILLS


def test_every_drill_is_of_use() -> None:
    """No drill is without a mutant that needs it."""
    assert {mutant.trouble for mutant in ALL} == set(DRILLS)


def test_a_patch_finds_its_place_by_its_text() -> None:
    """The lines that a patch names may have moved."""
    assert applied(read("m", SAMPLE), "core/x.py", "1\n2\nbefore\nold\nafter\n") == "1\n2\nbefore\nnew\nafter\n"


@pytest.mark.parametrize("source", ["before\nother\nafter\n", "before\nold\nafter\n" * 2])
def test_a_patch_whose_place_is_gone_or_not_the_only_one_is_refused(source: str) -> None:
    """It is never applied to what it does not know, and never in a place that may be the wrong one."""
    with pytest.raises(Unfit, match="does not apply"):
        applied(read("m", SAMPLE), "core/x.py", source)


@pytest.mark.parametrize("text", [SAMPLE.replace("Found by: lost\n", ""), SAMPLE.partition("---")[0]])
def test_what_is_no_mutant_is_refused(text: str) -> None:
    """Without its three lines, or without a change, it is none."""
    with pytest.raises(Unfit):
        read("m", text)
