from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gate.identity.oidc_issuer import TestIssuer, running


@pytest.fixture
def issuer() -> Iterator[TestIssuer]:
    with running() as issuer:
        yield issuer
