"""Rows: the tapes of a checkout."""

from harness.doctor.check import Check, Severity
from harness.doctor.subjects import cassettes

CHECKS: tuple[Check, ...] = (
    Check(
        id="cassettes.complete",
        title="tapes",
        proves="every case that a tape can hold has one that can be read, and every tape has a case",
        severity=Severity.FAILURE,
        needs=(),
        deadline_s=60,
        looks_at="fixtures/cassettes against the suite's cases, when there is any tape",
        symptom="harness suite is red with NOT_ON_TAPE or TAPES_MISSING",
        cause="a case was added or changed and not recorded, or a recording was stopped in the middle",
        solution="harness record",
        look=cassettes.complete,
    ),
    Check(
        id="cassettes.fresh",
        title="age of tapes",
        proves="no tape of live Mixpanel is older than 90 days, and all of the emulator are of one data set",
        severity=Severity.WARNING,
        needs=("cassettes.complete",),
        deadline_s=60,
        looks_at="when, of what and with which clock each tape was recorded",
        symptom="the suite is green, and what it proves is how Mixpanel was a year ago",
        cause="nobody has recorded for a while, or only some tapes were recorded with another data set",
        solution="harness record --stale 90d; ask whether anything has changed: harness drift",
        look=cassettes.fresh,
    ),
    Check(
        id="cassettes.secrets",
        title="secrets on tapes",
        proves="nothing on tape looks like a secret, or is one that this shell knows",
        severity=Severity.FAILURE,
        needs=(),
        deadline_s=60,
        looks_at="every file under fixtures/cassettes, for MP_SECRET and its like in every form, and for known shapes",
        symptom="somebody else finds your credentials in a commit",
        cause="a tape was edited by hand, or a new kind of secret came in an answer's body",
        solution="change the secret, then harness record; before each commit: python -m harness.cassettes.scan",
        look=cassettes.free_of_secrets,
    ),
)
