"""The tree of errors: what every one of them can say."""

from __future__ import annotations

import json
from datetime import date

import pytest

import mixpanel_data
from mixpanel_data import errors, exceptions

EVERY = (
    errors.MixpanelDataError("it broke"),
    errors.InvalidArgumentError("unit", "'eon' is not known", fix="take day"),
    errors.ConfigError("nothing is configured", fix="configure"),
    errors.AccountNotFoundError("lab", ["home"]),
    errors.APIError("odd", status_code=302, fix="look"),
    errors.AuthenticationError("no", status_code=401),
    errors.RateLimitError("slow down", retry_after=37),
    errors.QueryError("bad", status_code=400, fix="mend"),
    errors.ServerError("down", status_code=503),
    errors.IncompleteExportError("cut", status_code=200),
    errors.DateRangeTooLargeError(date(2025, 1, 1), date(2025, 6, 30), 181),
    errors.TableExistsError("events"),
    errors.TableNotFoundError("events"),
    errors.DatabaseLockedError("a.db", holding_pid=7),
    errors.DatabaseNotFoundError("a.db"),
    errors.StorageError("disk full", fix="make room"),
)


def test_every_class_of_the_tree_is_here_public_and_re_exported() -> None:
    assert {type(error).__name__ for error in EVERY} == set(errors.__all__)
    assert set(errors.__all__) <= set(mixpanel_data.__all__)
    assert all(getattr(exceptions, name) is getattr(mixpanel_data, name) for name in errors.__all__)


@pytest.mark.parametrize("error", EVERY, ids=lambda error: type(error).__name__)
def test_every_error_has_a_code_of_its_own_and_a_json_form(error: errors.MixpanelDataError) -> None:
    told = json.loads(json.dumps(error.to_dict()))
    assert set(told) == {"code", "message", "details"}
    assert told["message"] == error.message == error.cause == str(error)
    assert [other.code for other in EVERY].count(error.code) == 1
    assert told["details"].get("fix") == error.fix
    assert error.fix or type(error) is errors.MixpanelDataError


def test_contract_details_are_there() -> None:
    by_code = {error.code: error for error in EVERY}
    assert by_code["RATE_LIMITED"].details["retry_after"] == 37
    assert "37" in by_code["RATE_LIMITED"].message
    assert by_code["DATE_RANGE_TOO_LARGE"].details == {
        "from_date": "2025-01-01",
        "to_date": "2025-06-30",
        "days_requested": 181,
        "max_days": 100,
        "fix": by_code["DATE_RANGE_TOO_LARGE"].fix,
    }
    assert by_code["TABLE_EXISTS"].details["table_name"] == "events"
    assert by_code["DATABASE_LOCKED"].details["holding_pid"] == 7
    assert by_code["AUTH_FAILED"].details["status_code"] == 401


def test_errors_are_also_what_the_standard_library_calls_them() -> None:
    assert isinstance(errors.InvalidArgumentError("a", "b", fix="c"), ValueError)
    assert isinstance(errors.DatabaseNotFoundError("a.db"), FileNotFoundError)
