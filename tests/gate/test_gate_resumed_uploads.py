"""An upload through the gate goes on after its connection was cut."""

from __future__ import annotations

import io
import os

import pytest

from compliance.oci.digest import Digest
from compliance.oci.registry import Credentials, RegistryClient
from compliance.retries import Retries
from tests.cutting_proxy import cutting_proxy
from tests.gate.conftest import PASSWORD, RunningGate

pytestmark = pytest.mark.acceptance


def test_a_cut_upload_goes_on_where_it_was_cut(gate: RunningGate) -> None:
    data = os.urandom(8_000_000)
    retries = Retries(tries=2, first_wait=0.5)
    with (
        cutting_proxy(gate.host) as proxy,
        RegistryClient(proxy.host, credentials=Credentials("ci", PASSWORD), retries=retries) as client,
    ):
        proxy.cuts = [3_000_000, 2_500_000, 2_000_000]
        assert client.push_blob("team/cut", Digest.of(data), len(data), lambda: io.BytesIO(data))
        assert proxy.cuts == []
        assert proxy.sent < len(data) + 500_000
        assert gate.blob_file(Digest.of(data)).read_bytes() == data
        assert not client.push_blob("team/cut", Digest.of(data), len(data), lambda: io.BytesIO(data))
