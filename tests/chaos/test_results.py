"""When a run is good: nothing is wrong, enough was done, and crashes have not cost too much."""

from msgspec import json, structs

from tests.chaos.judging import Judgement
from tests.chaos.recovery import Recovery
from tests.chaos.results import as_json, is_good, told
from tests.chaos.run import Wishes
from tests.chaos.stage import Killed
from tests.judge.case import Evidence, Input
from tests.judge.findings import Findings

WISHES = Wishes(seed=1, kills=2, documents=1_000, mode="exactly_once")
INPUTS = [Input(f"doc-{n}", 0, n, None, "", aborted=False, tombstone=False, valid=True, at=0.0) for n in range(20_000)]


def judgement(kills: int = 2, again: int = 0, lost: int = 0, odd: int = 0) -> Judgement:
    names = tuple(record.name for record in INPUTS)
    findings = Findings("exactly_once", lost=names[:lost], billed_again_after_kill=names[:again])
    struck = [Killed(float(number), f"worker-1.{number}", 7) for number in range(kills)]
    back = [Recovery("worker-1.1", 1.5, None), Recovery("worker-1.2", 2.5, None), Recovery("worker-2.1", 7.0, "x")]
    return Judgement(findings, ["strange"] * odd, struck, back, Evidence(INPUTS, [], {}, [], []))


def test_a_run_is_good_when_all_of_it_is() -> None:
    """No fault, nothing odd, as many kills as were asked for, and at most half a percent billed again for crashes."""
    assert is_good(judgement(), WISHES)
    assert is_good(judgement(again=100), WISHES)
    for wrong in {"kills": 1}, {"again": 101}, {"lost": 1}, {"odd": 1}:
        assert not is_good(judgement(**wrong), WISHES), wrong


def test_a_short_run_may_pay_again_for_a_burst() -> None:
    """Of few inputs a share is no measure: there a kill may cost ten documents."""
    few = structs.replace(judgement(again=20), evidence=Evidence(INPUTS[:1_000], [], {}, [], []))
    more = structs.replace(judgement(again=21), evidence=Evidence(INPUTS[:1_000], [], {}, [], []))
    assert (is_good(few, WISHES), is_good(more, WISHES)) == (True, False)


def test_the_report_says_why_a_run_is_not_good() -> None:
    """What crashes have cost, kills that are missing, what was odd, and how soon static members were back."""
    said = told(judgement(kills=1, again=120, odd=1), WISHES, colour=False)
    assert "only 1 of 2 kills struck in full work" in said
    assert "crashes have cost 0.60% of all inputs a second bill: 0.5% are allowed" in said
    assert "odd: strange" in said
    assert "3 static members were killed" in said
    assert "2 of them in peace: they published again 2.0 s after their start in the median, 2.5 s at the most" in said
    assert "1 had something else in their way, 0 of them were as quick" in said
    assert "crashes have cost" not in told(judgement(again=100), WISHES, colour=False)


def test_the_same_is_there_for_machines() -> None:
    """The JSON holds mode, kills, recoveries and the part that was billed again."""
    result = json.decode(as_json(judgement(again=120), WISHES))
    assert (result["good"], result["wishes"]["mode"], result["billed_again"]) == (False, "exactly_once", 0.006)
    assert result["recoveries"]["summary"] == {
        "judged": 2,
        "median": 2.0,
        "longest": 2.5,
        "excused": 1,
        "in_time": 0,
    }
    assert result["tolerated"] == {"billed_again_after_kill": 120}
