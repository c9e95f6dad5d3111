"""The README's table of trouble, and who guards each of its rows: no row without a test, no claim without a row."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from tests.integration import test_end_to_end, test_kafka_edges
from tests.pipeline import test_trouble
from tests.trouble import (
    test_answers,
    test_broker,
    test_deployment,
    test_documents,
    test_outage,
    test_passing,
    test_throttle,
)

README: Final = Path(__file__).parents[2] / "README.md"

CLAIMS: Final[dict[str, Sequence[Callable[..., Any]]]] = {
    "a record is no document": (
        test_documents.test_what_is_no_document_is_rejected_and_the_stream_goes_on,
        test_kafka_edges.test_outcomes_are_published_then_committed,
    ),
    "a result says that one document is at fault": (
        test_documents.test_an_error_in_a_result_is_the_documents_own,
        test_documents.test_each_document_gets_what_its_mark_deserves,
    ),
    "a result leaves a document out": (
        test_passing.test_what_passes_costs_no_document_its_entities,
        test_documents.test_one_poisoned_document_among_25_is_found_by_ten_further_submits,
        test_documents.test_each_document_gets_what_its_mark_deserves,
    ),
    "a job fails, expires, is cancelled, unknown or overdue": (
        test_passing.test_what_passes_costs_no_document_its_entities,
        test_passing.test_a_job_that_is_overdue_is_submitted_again,
        test_documents.test_one_poisoned_document_among_25_is_found_by_ten_further_submits,
        test_documents.test_each_document_gets_what_its_mark_deserves,
    ),
    "400 or 413 for a batch": (
        test_documents.test_one_poisoned_document_among_25_is_found_by_ten_further_submits,
        test_documents.test_each_document_gets_what_its_mark_deserves,
    ),
    "one batch gets no answer, or a 5xx, while others are taken": (
        test_documents.test_a_batch_that_alone_gets_no_answer_is_divided,
        test_trouble.test_a_batch_that_alone_gets_no_answer_is_divided,
    ),
    "401, 403, 404, or a 400 that blames project, deployment or version": (
        test_deployment.test_who_refuses_everybody_is_asked_once_in_a_pause,
        test_deployment.test_while_a_deployment_is_gone_jobs_in_flight_come_home,
        test_deployment.test_a_rotated_key_is_waited_for,
        test_deployment.test_a_mistake_in_the_settings_is_no_documents_fault,
        test_end_to_end.test_a_deployment_that_is_not_there_parks_the_service,
    ),
    "the API rejects whatever it is asked": (test_deployment.test_a_deployment_that_rejects_everything_rejects_nobody,),
    "429": (
        test_throttle.test_a_retry_after_is_honoured_by_all,
        test_throttle.test_however_it_is_told_it_is_waited_out,
        test_throttle.test_a_throttle_holds_only_its_own_operation,
    ),
    "5xx, a time-out, no connection": (
        test_outage.test_an_outage_costs_few_calls_and_no_document,
        test_outage.test_what_was_not_sent_does_not_count_as_possibly_billed,
        test_passing.test_what_passes_costs_no_document_its_entities,
    ),
    "a submit whose answer never comes": (
        test_passing.test_what_passes_costs_no_document_its_entities,
        test_outage.test_what_was_not_sent_does_not_count_as_possibly_billed,
    ),
    "an answer that cannot be read": (
        test_passing.test_what_passes_costs_no_document_its_entities,
        test_answers.test_an_answer_that_is_nested_too_deeply_is_no_result,
    ),
    "an answer that is huge, or does not end": (
        test_answers.test_a_huge_answer_is_not_held_in_memory,
        test_answers.test_an_answer_that_does_not_end_is_left,
    ),
    "an answer that leads to another host": (
        test_answers.test_links_to_another_host_are_followed_on_our_own,
        test_answers.test_a_redirect_is_not_followed,
    ),
    "Kafka does not take an outcome": (
        test_kafka_edges.test_an_outcome_the_broker_refuses_becomes_a_dead_letter,
        test_kafka_edges.test_a_compacted_output_topic_takes_what_has_a_key,
        test_kafka_edges.test_a_dead_letter_that_is_too_large_goes_without_its_value,
        test_kafka_edges.test_a_dead_letter_that_no_topic_takes_leaves_its_coordinates,
    ),
    "a topic is gone, or may not be written": (
        test_broker.test_a_topic_that_is_gone_is_waited_for,
        test_kafka_edges.test_a_right_to_write_that_is_missing_is_waited_for,
        test_kafka_edges.test_a_dead_letter_topic_that_takes_nothing_at_all_is_waited_for,
    ),
    "Kafka is away": (test_broker.test_a_broker_that_is_away_is_waited_for,),
}
"""Each row of the README by its first cell, and the tests that fail where it is not true."""


def rows() -> list[str]:
    """Read the first cells of the README's table."""
    found = re.search(r"<!-- trouble -->\n(.*)<!-- /trouble -->", README.read_text(encoding="utf-8"), re.DOTALL)
    assert found, "README.md lacks the markers <!-- trouble --> and <!-- /trouble -->"
    _, _, *told = found[1].strip().splitlines()
    return [line.strip("| ").split(" | ")[0] for line in told]


def test_every_row_is_claimed_and_every_claim_has_its_row() -> None:
    """The rows of the README are those of the table above, in its order, and none stands without a test."""
    assert rows() == list(CLAIMS)
    for row, tests in CLAIMS.items():
        assert tests, row


def test_what_claims_a_row_is_run() -> None:
    """A claim is a test that pytest collects: a function with such a name, of a file with such a name."""
    for claim in {test for tests in CLAIMS.values() for test in tests}:
        assert claim.__name__.startswith("test_")
        assert Path(claim.__code__.co_filename).name.startswith("test_")
