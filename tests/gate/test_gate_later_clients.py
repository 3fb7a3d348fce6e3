"""Nobody who mends an image is locked out by the denied one: each client pushes to its tag."""

from __future__ import annotations

import pytest

from tests.gate.clients import NAMES, client_of
from tests.gate.registry_process import eventually
from tests.gate.test_gate_later import POLICY, advisory, with_package, write

pytestmark = pytest.mark.acceptance


def test_what_is_mended_is_pushed_to_the_tag_of_what_is_denied(
    start_gate, make_image, tmp_path, dockerd, containerd
):
    gate = start_gate("--rejudge", "0.5", policies={"any.yaml": POLICY})
    write(gate, "advisories/GHSA-aaaa-bbbb-cccc.json", advisory("GHSA-aaaa-bbbb-cccc", "unrelated"))
    bad, mended = make_image(with_package("starlette", "0.38.6")), make_image(with_package("starlette", "9.9.9"))
    daemons = {"docker": dockerd, "ctr": containerd}
    for name in NAMES:
        with client_of(name, tmp_path / f"{name}-bad", gate.host, daemons.get(name)) as client:
            pushed = client.push(bad, "v1")
            assert pushed.status == 0, pushed.text
    write(gate, "advisories/MAL-2026-0001.json", advisory("MAL-2026-0001", "starlette"))
    eventually(lambda: gate.log.count("NO LONGER COMPLIES serving/") == len(NAMES))
    for name in NAMES:
        with client_of(name, tmp_path / f"{name}-new", gate.host, daemons.get(name)) as client:
            denied = client.pull("v1")
            assert denied.status != 0
            assert name == "ctr" or "MAL-2026-0001 in starlette 0.38.6" in denied.line
            pushed = client.push(mended, "v1")
            assert pushed.status == 0, pushed.text
            pulled = client.pull("v1")
            assert pulled.status == 0, pulled.text
            assert client.has(mended)
