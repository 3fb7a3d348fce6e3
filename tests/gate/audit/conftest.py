from __future__ import annotations

import pytest

from compliance.attest.keys import generate_key, load_signer


@pytest.fixture
def signer(tmp_path):
    generate_key(tmp_path / "key.pem", tmp_path / "public.pem")
    return load_signer(tmp_path / "key.pem")
