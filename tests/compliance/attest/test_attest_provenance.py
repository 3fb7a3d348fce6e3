"""What a build says of itself comes back, and nothing doubtful is read as provenance."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.attest.provenance import Material, SpecFile, read_build, read_provenance, slsa_statement
from compliance.attest.statement import Statement, parse_statement, sbom_statement, subjects_for
from compliance.errors import InvalidInput
from compliance.evidence import Absent, Build, BuildStep, BuiltSdist, Lock, LockedPackage, Provenance
from compliance.inventory import Inventory
from compliance.oci.digest import Digest
from compliance.sbom import from_cyclonedx, to_cyclonedx

SUBJECTS = subjects_for("serving/iris", Digest.of(b"manifest"), Digest.of(b"config"))
BASE = Digest.of(b"base")
LOCK = Lock(
    Digest.of(b"lock"),
    (
        LockedPackage("base", "1.0", "a" * 64, "https://files.example/base.whl", "https://pypi.org/simple"),
        LockedPackage("numpy", "2.0", "b" * 64, "https://files.example/numpy.whl", None),
    ),
)

NOTHING = Build()


def statement(lock: Lock = LOCK, build: Build = NOTHING, **times: datetime) -> Statement:
    return slsa_statement(
        SUBJECTS,
        builder="urn:mlbuild:builder:test",
        spec=SpecFile("mlbuild.yaml", "image: serving/iris\n"),
        layout_version=1,
        base_name="python3.11-slim",
        base=BASE,
        lock=lock,
        build=build,
        **times,
    )


def test_the_predicate_is_slsa_provenance() -> None:
    found = statement(started=datetime(2026, 1, 1, tzinfo=UTC)).predicate
    assert found["buildDefinition"]["buildType"] == "urn:mlbuild:build:v1"
    assert found["buildDefinition"]["externalParameters"] == {
        "spec": {"name": "mlbuild.yaml", "content": "image: serving/iris\n"}
    }
    assert found["buildDefinition"]["internalParameters"] == {"layoutVersion": 1, "steps": [], "sdists": []}
    assert found["buildDefinition"]["resolvedDependencies"] == [
        {"name": "base", "digest": {"sha256": BASE.hex}, "annotations": {"base": "python3.11-slim"}},
        {"name": "pylock.toml", "digest": {"sha256": LOCK.digest.hex}},
        {
            "name": "base",
            "uri": "https://files.example/base.whl",
            "digest": {"sha256": "a" * 64},
            "annotations": {"version": "1.0", "index": "https://pypi.org/simple"},
        },
        {
            "name": "numpy",
            "uri": "https://files.example/numpy.whl",
            "digest": {"sha256": "b" * 64},
            "annotations": {"version": "2.0"},
        },
    ]
    assert found["runDetails"] == {
        "builder": {"id": "urn:mlbuild:builder:test"},
        "metadata": {"startedOn": "2026-01-01T00:00:00Z"},
    }


def test_without_times_equal_builds_say_equal_things() -> None:
    assert statement().to_json() == statement().to_json()
    assert "metadata" not in statement().predicate["runDetails"]


def test_provenance_and_lock_come_back() -> None:
    found = read_provenance(parse_statement(statement().to_json()), "ci")
    assert found == (Provenance("urn:mlbuild:builder:test", "ci", LOCK.digest, BASE), LOCK)


def test_provenance_without_a_lock_leaves_the_packages_unknown() -> None:
    raw = json.loads(statement().to_json())
    raw["predicate"]["buildDefinition"]["resolvedDependencies"] = []
    provenance, lock = read_provenance(parse_statement(json.dumps(raw).encode()), "ci")
    assert (provenance.lock, provenance.base, lock) == (None, None, None)


def resolved(raw: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = raw["predicate"]["buildDefinition"]["resolvedDependencies"]
    return found


DOUBTFUL: dict[str, Callable[[dict[str, Any]], object]] = {
    "another predicate": lambda raw: raw.update(predicateType="https://slsa.dev/provenance/v0.2"),
    "another build type": lambda raw: raw["predicate"]["buildDefinition"].update(buildType="urn:other"),
    "an unexpected parameter": lambda raw: raw["predicate"]["buildDefinition"]["externalParameters"].update(x=1),
    "no spec": lambda raw: raw["predicate"]["buildDefinition"]["externalParameters"].clear(),
    "no builder": lambda raw: raw["predicate"].pop("runDetails"),
    "nameless builder": lambda raw: raw["predicate"]["runDetails"]["builder"].update(id=""),
    "two bases": lambda raw: resolved(raw).append(resolved(raw)[0]),
    "two locks": lambda raw: resolved(raw).append(resolved(raw)[1]),
    "lock without digest": lambda raw: resolved(raw)[1].pop("digest"),
    "lock with half a digest": lambda raw: resolved(raw)[1].update(digest={"sha256": "ab"}),
    "wheel without version": lambda raw: resolved(raw)[3].update(annotations={}),
    "wheel without name": lambda raw: resolved(raw)[3].pop("name"),
    "wheel with a number for a version": lambda raw: resolved(raw)[3].update(annotations={"version": 2}),
    "wheel from an index that is a list": lambda raw: resolved(raw)[3]["annotations"].update(index=[]),
    "dependencies are not a list": lambda raw: raw["predicate"]["buildDefinition"].update(resolvedDependencies={}),
    "time without zone": lambda raw: raw["predicate"]["runDetails"].update(
        metadata={"startedOn": "2026-01-01T00:00:00"}
    ),
}


@pytest.mark.parametrize("what", DOUBTFUL)
def test_doubtful_provenance_is_refused(what: str) -> None:
    raw = json.loads(statement().to_json())
    DOUBTFUL[what](raw)
    with pytest.raises(InvalidInput):
        read_provenance(parse_statement(json.dumps(raw).encode()), "ci")


TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=10)
PACKAGES = st.builds(
    LockedPackage,
    name=TEXT | st.sampled_from(["base", "pylock.toml"]),
    version=TEXT,
    sha256=st.none() | st.binary(max_size=2).map(lambda data: Digest.of(data).hex),
    url=st.none() | TEXT,
    index=st.none() | TEXT,
)


@given(st.lists(PACKAGES, max_size=5, unique_by=lambda package: (package.name, package.version)))
def test_every_lock_comes_back(packages: list[LockedPackage]) -> None:
    ordered = tuple(sorted(packages, key=lambda package: (package.name, package.version)))
    lock = Lock(LOCK.digest, ordered)
    assert read_provenance(parse_statement(statement(lock).to_json()), "ci")[1] == lock


def test_an_sbom_is_the_predicate_of_its_statement() -> None:
    inventory = Inventory(None, ())
    found = sbom_statement(SUBJECTS, to_cyclonedx(inventory, name="x"))
    assert found.predicate_type == "https://cyclonedx.org/bom"
    assert from_cyclonedx(json.dumps(found.predicate).encode()) == inventory
    with pytest.raises(InvalidInput):
        sbom_statement(SUBJECTS, b"[]")


def test_what_ran_and_what_was_compiled_is_read_back() -> None:
    build = Build(
        (BuildStep("python -m compileall /app"), BuildStep("make", network=True)),
        (BuiltSdist("fasttext", "0.9.2", "ab" * 32),),
    )
    assert read_build(statement(build=build)) == build
    assert read_build(statement()) == Build()


def test_provenance_that_does_not_say_what_ran_is_not_taken_for_nothing_ran() -> None:
    made = statement()
    predicate = copy.deepcopy(made.predicate)
    del predicate["buildDefinition"]["internalParameters"]["steps"]
    found = read_build(made.model_copy(update={"predicate": predicate}))
    assert isinstance(found, Absent)


def test_upload_times_and_yanks_are_read_back() -> None:
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    locked = LockedPackage("numpy", "2.0.0", "ab" * 32, "https://e/x.whl", None, when, True)
    _, lock = read_provenance(statement(lock=Lock(Digest.of(b"lock"), (locked,))), "key")
    assert lock is not None
    assert lock.packages == (locked,)


@pytest.mark.parametrize(("name", "value"), [("uploadTime", "soon"), ("uploadTime", 5), ("yanked", "yes")])
def test_an_annotation_of_another_kind_is_refused(name: str, value: object) -> None:
    made = statement()
    predicate = copy.deepcopy(made.predicate)
    wheel = predicate["buildDefinition"]["resolvedDependencies"][-1]
    wheel["annotations"][name] = value
    with pytest.raises(InvalidInput, match=wheel["name"]):
        read_provenance(made.model_copy(update={"predicate": predicate}), "key")


TOOL = LockedPackage("setuptools", "80.0", "c" * 64, "https://files.example/setuptools.whl", None)
DONE = Build(
    steps=(
        BuildStep("python -m nltk.downloader punkt", True, "nonroot", Digest.of(b"layer")),
        BuildStep("ldconfig", layer=Digest.of(b"another")),
    ),
    sdists=(BuiltSdist("numpy", "2.0", "b" * 64, wheel="d" * 64, requires=(TOOL,)),),
    bytecode=True,
)


def test_what_ran_and_what_it_left_comes_back() -> None:
    assert read_build(parse_statement(statement(build=DONE).to_json())) == DONE


def test_what_built_a_package_is_not_a_package_of_the_image() -> None:
    said = parse_statement(statement(build=DONE).to_json())
    packages = said.predicate["buildDefinition"]["resolvedDependencies"][2:]
    assert [each["annotations"].get("buildOf") for each in packages] == [None, None, "numpy"]
    assert read_provenance(said, "ci")[1] == LOCK


def test_what_built_a_package_must_be_said_plainly() -> None:
    raw = json.loads(statement(build=DONE).to_json())
    raw["predicate"]["buildDefinition"]["resolvedDependencies"][-1]["annotations"]["buildOf"] = 7
    with pytest.raises(InvalidInput, match="what 'setuptools' built"):
        read_provenance(parse_statement(json.dumps(raw).encode()), "ci")


def test_debian_packages_and_models_are_named_and_are_no_locked_packages() -> None:
    materials = (
        Material("debian", "libgl1", "c" * 64, "http://deb.example/libgl1.deb", "1.6.0-1"),
        Material("model", "/models/iris.skops", "d" * 64),
    )
    made = slsa_statement(
        SUBJECTS,
        builder="urn:mlbuild:builder:test",
        spec=SpecFile("mlbuild.yaml", "image: serving/iris\n"),
        layout_version=1,
        base_name="python3.11-slim",
        base=BASE,
        lock=LOCK,
        materials=materials,
    )
    assert made.predicate["buildDefinition"]["resolvedDependencies"][-2:] == [
        {
            "name": "libgl1",
            "uri": "http://deb.example/libgl1.deb",
            "digest": {"sha256": "c" * 64},
            "annotations": {"kind": "debian", "version": "1.6.0-1"},
        },
        {"name": "/models/iris.skops", "digest": {"sha256": "d" * 64}, "annotations": {"kind": "model"}},
    ]
    assert read_provenance(made, "k")[1] == LOCK
