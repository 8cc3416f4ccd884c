from __future__ import annotations

import pytest

from node.neuron.doctor import CHECKS, Diagnosis, Finding, Verdict


def test_findings_are_put_in_the_order_of_the_checks() -> None:
    found = [
        Finding.ok("receipt", "r"),
        Finding.fail("wallet", "w", "a"),
        Finding.skip("port", "p"),
    ]
    diagnosis = Diagnosis.of(found, CHECKS)
    assert [finding.check for finding in diagnosis.findings] == ["wallet", "port", "receipt"]


@pytest.mark.parametrize(
    ("finding", "failed"),
    [
        (Finding.ok("wallet", "f"), False),
        (Finding.warn("wallet", "f", "a"), False),
        (Finding.skip("wallet", "f"), False),
        (Finding.fail("wallet", "f", "a"), True),
    ],
)
def test_only_a_failure_fails(finding: Finding, failed: bool) -> None:
    diagnosis = Diagnosis.of([finding, Finding.ok("port", "p")], CHECKS)
    assert diagnosis.failed is failed
    assert diagnosis.to_mapping()["ok"] is not failed


def test_it_counts_and_maps() -> None:
    diagnosis = Diagnosis.of([Finding.warn("wallet", "f", "a"), Finding.ok("port", "p")], CHECKS)
    assert [diagnosis.count(verdict) for verdict in Verdict] == [1, 1, 0, 0]
    assert diagnosis.to_mapping() == {
        "ok": True,
        "checks": [
            {"check": "wallet", "verdict": "warn", "found": "f", "advice": "a"},
            {"check": "port", "verdict": "ok", "found": "p", "advice": ""},
        ],
    }
