"""A gate that is killed between a refusal and the message about it, beside a receiver that never answers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from sqlalchemy import create_engine, text

from compliance.oci.registry import RegistryError
from gate.notify.sending import SECONDS
from tests.gate.conftest import NOT_ROOT, PASSWORD, RunningGate, prepare
from tests.gate.notify.receiver import Receiver, receiving
from tests.gate.notify.test_notify_telling import SECRET
from tests.gate.registry_process import eventually

pytestmark = pytest.mark.acceptance


def mlgate(gate: RunningGate, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gate", *words, "--data", str(gate.data)],
        capture_output=True,
        text=True,
        timeout=120,
        env={
            **os.environ,
            "MLGATE_POLICIES": str(gate.policies),
            "MLGATE_BASES": str(gate.root / "bases"),
            "MLGATE_PUBLIC_URL": f"http://{gate.host}",
            "NO_COLOR": "1",
        },
    )


def is_watched_for(gate: RunningGate, sinks: int) -> bool:
    engine = create_engine(f"sqlite:///{gate.data / 'gate.db'}")
    try:
        with engine.connect() as connection:
            return connection.scalar(text("select count(*) from notify_readers")) == sinks
    finally:
        engine.dispose()


def test_a_refusal_is_told_although_the_gate_is_killed_and_another_receiver_never_answers(
    tmp_path: Path, make_image
):
    gate = prepare(tmp_path / "gate", {"any.yaml": NOT_ROOT})
    gate.data.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as silent, receiving(Receiver(SECRET)) as receiver:
        (gate.data / "hook.secret").write_text(SECRET)
        (gate.data / "silent.url").write_text(f"http://127.0.0.1:{silent.getsockname()[1]}/T0/hidden\n")
        (gate.data / "notify.yaml").write_text(
            "sinks:\n"
            f"  - {{name: events, url: '{receiver.url}', secrets: [{{file: hook.secret}}], window: 3}}\n"
            "  - {name: silent, url-file: silent.url, format: markdown-chat, window: 1}\n"
        )
        try:
            gate.start()
            eventually(lambda: is_watched_for(gate, 2))
            receiver.answers = [503] * 100
            with gate.client() as client, pytest.raises(RegistryError, match="not-root"):
                make_image(user="0").push(client, "vision/iris", "v1")
            gate.end(signal.SIGKILL)
            assert receiver.taken == []
            receiver.answers = []

            gate.start()
            eventually(lambda: len(receiver.taken) == 1)
            (event,) = receiver.events()
            assert (event.get_type(), event.get_source()) == ("io.mlbuild.push.refused", f"http://{gate.host}")
            (image,) = event.get_data()["images"]
            assert image["tag"] == "v1"
            page = httpx.get(image["report"], auth=("ci", PASSWORD), timeout=60)
            assert (page.status_code, "not-root" in page.text) == (200, True)
            with gate.client() as client:
                begin = time.monotonic()
                make_image().push(client, "vision/iris", "v2")
                assert time.monotonic() - begin < SECONDS, "no push waits for a receiver"

            tried = mlgate(gate, "notify", "test", "events")
            assert (tried.returncode, tried.stderr) == (0, "")
            assert tried.stdout.startswith("events took msg_")
            assert receiver.events()[-1].get_type() == "io.mlbuild.test"
            refused = mlgate(gate, "notify", "test", "evnts")
            assert (refused.returncode, refused.stdout) == (2, "")
            assert "There are: events, silent." in refused.stderr
            receiver.answers = [418]
            assert mlgate(gate, "notify", "test", "events").returncode == 3

            eventually(lambda: "no answer within 10 s" in gate.log)
            assert "no answer within 10 s" in mlgate(gate, "notify", "list").stdout
            digest = mlgate(gate, "digest", "--repositories", "vision/**").stdout
            assert "2 pushes judged: 1 admitted, 1 refused" in digest
            assert "- `vision/iris`, 1 time: `REFUSED" in digest
            other = mlgate(gate, "digest", "--repositories", "speech/**").stdout
            assert "0 pushes judged" in other
            assert "vision" not in other

            begin = time.monotonic()
            assert gate.end() == 0
            assert time.monotonic() - begin < SECONDS, "a message on its way holds nobody up"
            assert "hidden" not in gate.log
            assert SECRET not in gate.log
        finally:
            gate.end(signal.SIGKILL)
