"""Cluster files that cannot be accepted are named with their line, and a renewed certificate is served."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from compliance.errors import InvalidInput
from gate.cluster.certificate import Certificate
from gate.cluster.cluster_file import read_cluster
from tests.gate.cluster.authority import Authority

DATA = Path(__file__).parent / "data" / "cluster-files"
SAID = {
    "everything-is-listed": ":6: others.0.images.0",
    "listed-without-a-reason": ":7: others.0.why",
    "no-address": "listen",
    "no-registry": ":4: registries",
    "registry-is-a-url": ":4: registries.0",
    "unknown-key": ":5: unknown key 'audits', did you mean 'audit'?",
}


@pytest.mark.parametrize("path", sorted(DATA.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_file_that_cannot_be_accepted_is_named_with_its_line(path):
    with pytest.raises(InvalidInput) as error:
        read_cluster(path)
    assert SAID[path.stem] in str(error.value)


def test_files_are_found_beside_the_cluster_file(tmp_path):
    text = "listen: 127.0.0.1:0\ncertificate: a/tls.crt\nkey: /b/tls.key\nregistries: [Gate.example.com]\n"
    (tmp_path / "cluster.yaml").write_text(text)
    file = read_cluster(tmp_path / "cluster.yaml")
    assert (file.certificate, file.key, file.client_ca) == (tmp_path / "a/tls.crt", Path("/b/tls.key"), None)
    assert file.registries == ("gate.example.com",)


def test_a_certificate_that_cannot_be_used_is_an_error_with_its_files(tmp_path):
    (tmp_path / "tls.crt").write_text("no certificate")
    with pytest.raises(InvalidInput) as error:
        Certificate(tmp_path / "tls.crt", tmp_path / "tls.key", None)
    assert str(tmp_path / "tls.key") in error.value.remedy


def test_a_renewed_certificate_is_served_and_a_broken_one_is_not(tmp_path):
    authority = Authority.make(tmp_path)
    files = authority.issue("localhost")
    certificate = Certificate(*files, None)

    async def run() -> None:
        server = await asyncio.start_server(
            lambda _, writer: writer.close(), "localhost", 0, ssl=certificate.context
        )
        port = server.sockets[0].getsockname()[1]
        renewing = asyncio.create_task(certificate.renewed(every=0.01))
        first = await shown(port, authority.file)
        assert await shown(port, authority.file) == first
        files[1].write_text("half a pair")
        await asyncio.sleep(0.1)
        assert await shown(port, authority.file) == first
        authority.issue("localhost")
        async with asyncio.timeout(120):
            while await shown(port, authority.file) == first:
                await asyncio.sleep(0.01)
        assert await shown(port, authority.file) != first
        renewing.cancel()
        server.close()

    asyncio.run(run())


async def shown(port: int, ca: Path) -> bytes:
    context = ssl.create_default_context(cafile=ca)
    _, writer = await asyncio.open_connection("localhost", port, ssl=context)
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return found
