"""An image whose verdict changes is told with its owner."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compliance.inventory import Settings
from compliance.policy.verdict_change import owner_of
from tests.compliance.policy.policy_evidence import given_evidence


@pytest.mark.parametrize(
    ("labels", "owner"),
    [
        ((), None),
        ((("org.opencontainers.image.vendor", "Example"),), "Example"),
        ((("org.opencontainers.image.vendor", "Example"), ("owner", "team-a")), "team-a"),
        ((("com.example.owner", "team-b"),), "team-b"),
    ],
)
def test_whose_an_image_is_stands_in_its_labels(labels: tuple[tuple[str, str], ...], owner: str | None) -> None:
    found = given_evidence()
    assert isinstance(found.settings, Settings)
    assert owner_of(replace(found, settings=replace(found.settings, labels=labels))) == owner
    assert owner_of(given_evidence(absent={"settings": "unreadable"})) is None
