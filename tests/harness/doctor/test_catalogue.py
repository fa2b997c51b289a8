"""The catalogue of checks: complete, told in words, and in agreement with what others say of it."""

import pytest

from harness.doctor import catalogue, runner
from harness.doctor.catalogue import CHECKS
from harness.doctor.check import Check
from harness.doctor.known_issues import KNOWN_ISSUES


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_a_check_explains_itself(check: Check) -> None:
    subject, dot, name = check.id.partition(".")
    assert subject
    assert dot
    assert name
    for text in (check.title, check.proves, check.looks_at, check.symptom, check.cause, check.solution):
        assert text
        assert not text.endswith(".")
    assert 0 < check.deadline_s <= 130


def test_there_are_some_forty_each_with_an_id_of_its_own() -> None:
    ids = [check.id for check in CHECKS]
    assert len(ids) == len(set(ids)) >= 40


def test_needs_are_checks_without_a_circle() -> None:
    ids = {check.id for check in CHECKS}
    for check in CHECKS:
        assert set(check.needs) <= ids, check.id
        assert check.id not in {need.id for name in check.needs for need in runner.chosen(CHECKS, [name])}, check.id


def test_every_known_issue_belongs_to_a_check_that_there_is() -> None:
    ids = {check.id for check in CHECKS}
    assert {issue.check for issue in KNOWN_ISSUES if issue.check} - ids == set()


def test_the_table_has_a_row_a_check() -> None:
    assert [row[0] for row in catalogue.rows()] == [check.id for check in CHECKS]
