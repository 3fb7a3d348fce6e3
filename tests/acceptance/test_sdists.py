"""Packages without a wheel: built in the base, locked with what built them, and told to policies."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.lock_reader import read_lock
from compliance.attest.bundle import verify_bundle
from compliance.attest.keys import TrustedKeys
from compliance.attest.provenance import read_build
from tests.builder.wheel_index import Index, make_sdist, make_wheel, serve_index

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("examples")]

PROJECT = '[build-system]\nrequires = ["pinned-tool"]\nbuild-backend = "backend"\nbackend-path = ["."]\n'
BACKEND = """
import base64, hashlib, os, pathlib, socket, zipfile

def get_requires_for_build_wheel(config_settings=None):
    print("what a backend prints is not taken for its answer")
    return ["helper>=1"]

def build_wheel(directory, config_settings=None, metadata_directory=None):
    import helper, pinned_tool
    name = "from_source-1.0-py3-none-any.whl"
    info = "from_source-1.0.dist-info"
    files = {{
        "from_source.py": source().encode(),
        f"{{info}}/METADATA": b"Metadata-Version: 2.1\\nName: from-source\\nVersion: 1.0\\nRequires-Dist: tools",
        f"{{info}}/WHEEL": b"Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }}
    hashes = {{path: base64.urlsafe_b64encode(hashlib.sha256(data).digest()) for path, data in files.items()}}
    rows = [f"{{path}},sha256={{hashes[path].decode().rstrip('=')}},{{len(files[path])}}" for path in files]
    files[f"{{info}}/RECORD"] = "\\n".join([*rows, f"{{info}}/RECORD,,", ""]).encode()
    with zipfile.ZipFile(os.path.join(directory, name), "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return name

def source():
{source}
"""
TELLS = """
    try:
        socket.create_connection(("127.0.0.1", {port}), 5)
        reached = True
    except OSError:
        reached = False
    pathlib.Path({mark!r}).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path({mark!r}).write_text("ran")
    return f"REACHED = {{reached}}\\nUSER = {{os.getuid()}}\\n"
"""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    files = tmp_path / "files"
    files.mkdir()
    make_wheel(files, "app", requires=["from-source>=0.5"])
    for name in ("tools", "helper", "pinned-tool"):
        make_wheel(files, name)
    with serve_index(files) as running:
        yield running


@pytest.fixture
def person(workplace, index: Index):
    """The workplace, with the index as the only one."""
    return workplace.with_settings(UV_DEFAULT_INDEX=index.url, PIP_CONFIG_FILE=os.devnull)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    (root / "app.py").write_text("import from_source, tools\nprint(from_source.REACHED, from_source.USER)\n")
    (root / "mlbuild.yaml").write_text(
        "image: serving/sources\nbase: python3.11-slim\ndependencies: [app]\ncommand: [python, app.py]\n"
    )
    return root


def add_source(index: Index, source: str, **further: str) -> None:
    files = {"pyproject.toml": PROJECT, "backend.py": BACKEND.format(source=source), **further}
    make_sdist(index.files, "from-source", files)


def test_a_package_without_a_wheel_is_built_in_the_base_without_network(person, project, index, tmp_path) -> None:
    mark = tmp_path / "host" / "mark"
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        add_source(index, TELLS.format(port=server.getsockname()[1], mark=str(mark)))
        done = person.mlbuild("-C", str(project), "build")
    assert done.returncode == 0, done.stderr
    assert person.mlbuild("-C", str(project), "run").stdout == "False 65532\n"
    assert not mark.exists()
    (locked,) = [package for package in read_lock(project / "pylock.toml").wheels if package.build is not None]
    assert (locked.name, locked.filename, locked.chain) == (
        "from-source",
        "from_source-1.0.tar.gz",
        ("app", "from-source"),
    )
    assert [tool.name for tool in locked.build.tools] == ["helper", "pinned-tool"]
    raw = (project / ".mlbuild" / "provenance.sigstore.json").read_bytes()
    statement, _ = verify_bundle(raw, TrustedKeys.load(person.root / "trusted-keys"))
    (told,) = read_build(statement).sdists
    assert (told.name, told.sha256, told.wheel) == ("from-source", locked.sha256, locked.build.sha256)
    assert [tool.name for tool in told.requires] == ["helper", "pinned-tool"]
    assert told.network is False


def test_a_source_is_built_once_and_its_pins_are_kept(person, project, index) -> None:
    add_source(index, "    return 'REACHED = USER = None'")
    first = person.mlbuild("-C", str(project), "lock")
    assert first.stderr.count("Building from-source 1.0 from source") == 1
    before = (project / "pylock.toml").read_bytes()
    make_wheel(index.files, "helper", "2.0")
    again = person.mlbuild("-C", str(project), "lock")
    assert again.returncode == 0, again.stderr
    assert (project / "pylock.toml").read_bytes() == before
    built = person.mlbuild("-C", str(project), "build")
    assert "Building from-source" not in again.stderr + built.stderr
    upgraded = person.mlbuild("-C", str(project), "lock", "--upgrade")
    assert upgraded.stderr.count("Building from-source 1.0 from source") == 1
    assert 'name = "helper", version = "2.0"' in (project / "pylock.toml").read_text()


def test_a_wheel_is_taken_where_there_is_one(person, project, index) -> None:
    make_wheel(index.files, "from-source", "1.0")
    make_sdist(index.files, "from-source", {"setup.py": "raise SystemExit('never run')"}, "2.0")
    done = person.mlbuild("-C", str(project), "lock")
    assert done.returncode == 0, done.stderr
    assert "building" not in done.stderr.lower()


@pytest.mark.parametrize("forbid", [{"MLBUILD_SDIST": "false"}, {}], ids=["setting", "option"])
def test_building_from_source_can_be_forbidden(person, project, index, forbid) -> None:
    add_source(index, "    return 'REACHED = USER = None'")
    option = [] if forbid else ["--no-sdist"]
    strict = person.with_settings(**forbid)
    refused = strict.mlbuild("-C", str(project), "lock", *option)
    assert refused.returncode == 2
    assert "from-source" in refused.stderr
    assert "MLBUILD_SDIST=false" in refused.stderr
    assert person.mlbuild("-C", str(project), "lock").returncode == 0
    late = strict.mlbuild(*option, "-C", str(project), "build")
    assert late.returncode == 2
    assert "the lock has from-source 1.0 as source" in late.stderr


def test_policies_see_what_would_be_built_before_it_is_in_an_image(person, project, index, tmp_path) -> None:
    add_source(index, "    return 'REACHED = USER = None'")
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "own.yaml").write_text(
        "name: own\nrules:\n  - {id: wheels-only, check: sdist-built, effect: deny, why: w, fix: f}\n"
    )
    done = person.with_settings(MLBUILD_POLICIES=str(policies)).mlbuild("-C", str(project))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "from-source 1.0 was built from source" in done.stdout
    assert "Making" not in done.stderr.partition("judging the lock")[2]


@pytest.mark.parametrize(
    ("source", "further", "said"),
    [
        (
            "    import subprocess; subprocess.run(['cc', 'speed.c'], check=True)",
            {"speed.c": "int main(void) { return 0; }\n"},
            "needs a compiler for speed.c, and the base python3.11-slim has none",
        ),
        ("    raise SystemExit('no licence file')", {}, "cannot be built into a wheel:\nno licence file"),
        ("    import numpy", {}, "No module named 'numpy'"),
    ],
    ids=["compiler", "fails", "undeclared-requirement"],
)
def test_a_build_that_fails_says_why(person, project, index, source, further, said) -> None:
    add_source(index, source, **further)
    done = person.mlbuild("-C", str(project), "lock")
    assert done.returncode == 3, done.stderr
    assert said in done.stderr
    assert "publish a wheel" in done.stderr


def test_a_source_that_builds_otherwise_each_time_is_refused_where_it_is_built_again(
    person, project, index, tmp_path
) -> None:
    add_source(index, "    return f'X = {os.urandom(8)!r}'")
    assert person.mlbuild("-C", str(project), "lock").returncode == 0
    elsewhere = person.with_settings(MLBUILD_CACHE=str(tmp_path / "cache"))
    done = elsewhere.mlbuild("-C", str(project), "build")
    assert done.returncode == 3
    assert "built into another wheel than the one that was locked" in done.stderr


def test_a_source_can_be_replaced_by_nobody(person, project, index) -> None:
    add_source(index, "    return 'REACHED = USER = None'")
    assert person.mlbuild("-C", str(project), "lock").returncode == 0
    text = (project / "pylock.toml").read_text()
    wheel = read_lock(project / "pylock.toml").wheels[1].build.sha256
    (project / "pylock.toml").write_text(text.replace(wheel, "0" * 64))
    done = person.mlbuild("-C", str(project), "build")
    assert done.returncode == 3
    assert "instead of " + "0" * 64 in done.stderr


def test_a_real_package_without_a_wheel_that_another_one_needs(workplace, tmp_path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "app.py").write_text(
        "from omegaconf import OmegaConf\nprint(OmegaConf.create('a: ${b}\\nb: 7').a)\n"
    )
    (project / "mlbuild.yaml").write_text(
        "image: serving/real\nbase: python3.11-slim\ndependencies: [omegaconf==2.3.0]\ncommand: [python, app.py]\n"
    )
    done = workplace.mlbuild("--json", "-C", str(project), "build")
    assert done.returncode == 0, done.stderr
    assert workplace.mlbuild("-C", str(project), "run").stdout == "7\n"
    (source,) = [one for one in read_lock(project / "pylock.toml").wheels if one.build is not None]
    assert (source.name, source.version) == ("antlr4-python3-runtime", "4.9.3")
    wanted = json.loads(done.stdout)["image"]
    elsewhere = workplace.with_settings(MLBUILD_CACHE=str(tmp_path / "cache"), TZ="Asia/Tokyo")
    again = elsewhere.mlbuild("--json", "-C", str(project), "build", umask=0o077)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["image"] == wanted
