from __future__ import annotations

from datetime import UTC, datetime

import pytest

from compliance.evidence import Absent
from compliance.inventory import Base, Origin
from compliance.oci.digest import Digest
from compliance.oci.manifest import ImageConfig, RootFs, RuntimeConfig
from gate.reading import Attribution, settings_of

BASE_LAYER, OWN_LAYER = Digest.of(b"base"), Digest.of(b"own")
BASE = Base("python", Digest.of(b"manifest"), (BASE_LAYER,), "platform", datetime(2030, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("layer", "path", "origin"),
    [
        (BASE_LAYER, "/usr/bin/python3.11", Origin.BASE),
        (BASE_LAYER, "/opt/venv/pyvenv.cfg", Origin.BASE),
        (OWN_LAYER, "/opt/venv/lib/python3.11/site-packages/numpy/__init__.py", Origin.DEPENDENCY),
        (OWN_LAYER, "opt/venv/bin/uvicorn", Origin.DEPENDENCY),
        (OWN_LAYER, "/var/lib/dpkg/status.d/libgl1", Origin.DEPENDENCY),
        (OWN_LAYER, "/var/lib/dpkgs", Origin.APP),
        (OWN_LAYER, "/app/main.py", Origin.APP),
        (OWN_LAYER, "/opt/venvious/main.py", Origin.APP),
        (None, "image config", Origin.APP),
    ],
)
def test_a_file_is_attributed_to_who_brought_it(layer, path, origin):
    assert Attribution.of(BASE, ())(layer, path) is origin


def test_without_a_known_base_nothing_is_the_bases():
    attribution = Attribution.of(Absent("unknown"), ())
    assert attribution(BASE_LAYER, "/usr/bin/python3.11") is Origin.APP
    assert attribution(BASE_LAYER, "/opt/venv/bin/x") is Origin.DEPENDENCY


def test_an_empty_config_runs_as_nobody_in_particular():
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFs(diff_ids=()))
    settings = settings_of(config)
    assert (settings.user, settings.entrypoint, settings.environment) == ("", (), ())


def test_settings_are_those_of_the_config_in_a_fixed_order():
    runtime = RuntimeConfig(
        user="65532:65532",
        entrypoint=("python",),
        cmd=("-m", "app"),
        env=("B=2", "A=1"),
        exposed_ports={"9090/tcp": {}, "8080/tcp": {}},
        labels={"b": "2", "a": "1"},
        working_dir="/app",
    )
    settings = settings_of(
        ImageConfig(architecture="amd64", os="linux", config=runtime, rootfs=RootFs(diff_ids=()))
    )
    assert settings.exposed_ports == ("8080/tcp", "9090/tcp")
    assert settings.labels == (("a", "1"), ("b", "2"))
    assert settings.environment == ("B=2", "A=1")  # a later value wins, so the order has a meaning
