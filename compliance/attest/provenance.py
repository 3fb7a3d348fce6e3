"""SLSA provenance v1 (https://slsa.dev/spec/v1.0/provenance): from what, and by whom, an image was made.

Build type `urn:mlbuild:build:v1`. `externalParameters` hold the spec as the user wrote it,
`internalParameters` the layout version, the commands that ran inside the image (each with the diffID of the
layer that it left), the packages that were built from source, and whether sources were compiled to bytecode.
`resolvedDependencies` are the base (name `base`, annotation `base` for its name in base-images/), the lock
(name `pylock.toml`), every wheel or source archive (annotations `version`, `index`, `uploadTime` and
`yanked`), every wheel that built one of these and is not in the image (annotation `buildOf`, its name), and
every Debian package and model (annotation `kind`).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from compliance.attest.predicate import (
    BUILD_TYPE,
    BuilderId,
    Definition,
    External,
    Internal,
    Predicate,
    Run,
    Sdist,
    Spec,
    Step,
    Times,
)
from compliance.attest.statement import ResourceDescriptor, Statement, Subject
from compliance.errors import InvalidInput
from compliance.evidence import Absent, Build, BuildStep, BuiltSdist, Lock, LockedPackage, Provenance
from compliance.oci.digest import Digest
from compliance.strict_json import validated

PREDICATE_TYPE: Final = "https://slsa.dev/provenance/v1"
BASE: Final = "base"
LOCK: Final = "pylock.toml"
VERSION: Final = "version"
INDEX: Final = "index"
UPLOAD_TIME: Final = "uploadTime"
YANKED: Final = "yanked"
BUILD_OF: Final = "buildOf"
KIND: Final = "kind"


@dataclass(frozen=True, slots=True)
class Material:
    """Something else that went into the image: a Debian package, or a model by its path in the image.

    `url` is where it came from; None for a file of the project.
    """

    kind: Literal["debian", "model"]
    name: str
    sha256: str
    url: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class SpecFile:
    """The spec as it was read: its file name, without directories, and its text."""

    name: str
    content: str


def slsa_statement(
    subjects: tuple[Subject, ...],
    *,
    builder: str,
    spec: SpecFile,
    layout_version: int,
    base_name: str,
    base: Digest,
    lock: Lock,
    lock_content: bytes | None = None,
    build: Build = Build(),  # noqa: B008 - frozen
    materials: Sequence[Material] = (),
    started: datetime | None = None,
    finished: datetime | None = None,
) -> Statement:
    """The claim that `builder` made `subjects` from `spec`, `base` and `lock`, doing what `build` says.

    `lock_content` is the lock's bytes, for whoever wants to build the image again. Times are aware datetimes.
    """
    dependencies = [
        ResourceDescriptor(name=BASE, digest={"sha256": base.hex}, annotations={BASE: base_name}),
        ResourceDescriptor(
            name=LOCK,
            digest={"sha256": lock.digest.hex},
            content=base64.b64encode(lock_content).decode() if lock_content is not None else None,
        ),
        *(_wheel(package) for package in sorted(lock.packages, key=lambda each: (each.name, each.version))),
        *(_wheel(package, {BUILD_OF: sdist.name}) for sdist in build.sdists for package in sdist.requires),
        *(_material(each) for each in materials),
    ]
    times = Times(started_on=started, finished_on=finished) if started or finished else None
    predicate = Predicate(
        build_definition=Definition(
            external_parameters=External(spec=Spec(name=spec.name, content=spec.content)),
            internal_parameters=Internal(
                layout_version=layout_version,
                steps=tuple(
                    Step(command=one.command, network=one.network, user=one.user, layer=one.layer)
                    for one in build.steps
                ),
                sdists=tuple(
                    Sdist(
                        name=one.name,
                        version=one.version,
                        sha256=one.sha256,
                        network=one.network,
                        wheel=one.wheel,
                    )
                    for one in build.sdists
                ),
                bytecode=build.bytecode or None,
            ),
            resolved_dependencies=tuple(dependencies),
        ),
        run_details=Run(builder=BuilderId(id=builder), metadata=times),
    )
    return Statement(
        subjects=subjects,
        predicate_type=PREDICATE_TYPE,
        predicate=predicate.model_dump(mode="json", by_alias=True, exclude_none=True),
    )


def _wheel(package: LockedPackage, further: Mapping[str, str] | None = None) -> ResourceDescriptor:
    annotations: dict[str, Any] = {VERSION: package.version, **(further or {})}
    if package.index is not None:
        annotations[INDEX] = package.index
    if package.upload_time is not None:
        annotations[UPLOAD_TIME] = package.upload_time.isoformat()
    if package.yanked is not None:
        annotations[YANKED] = package.yanked
    digest = {"sha256": package.sha256} if package.sha256 is not None else None
    return ResourceDescriptor(name=package.name, uri=package.url, digest=digest, annotations=annotations)


def _material(material: Material) -> ResourceDescriptor:
    annotations: dict[str, Any] = {KIND: material.kind}
    if material.version is not None:
        annotations[VERSION] = material.version
    return ResourceDescriptor(
        name=material.name, uri=material.url, digest={"sha256": material.sha256}, annotations=annotations
    )


def read_provenance(statement: Statement, key: str) -> tuple[Provenance, Lock | None]:
    """What a verified statement says of the build; `key` is the name of the key that signed it.

    The lock is None when the statement names none; the packages are then unknown, not absent.
    Raises InvalidInput when it is not provenance of this build type, or names a base or lock twice.
    """
    predicate = _predicate(statement)
    resolved = predicate.build_definition.resolved_dependencies
    base = _only(resolved, BASE)
    lock = _only(resolved, LOCK)
    packages = tuple(
        _locked(each)
        for each in resolved
        if not _is_input(each) and _builds(each) is None and KIND not in (each.annotations or {})
    )
    return (
        Provenance(builder=predicate.run_details.builder.id, key=key, lock=lock, base=base),
        Lock(lock, packages) if lock is not None else None,
    )


def read_sources(statement: Statement) -> tuple[SpecFile, bytes]:
    """The spec and the lock of a verified statement, from which the image can be built again.

    Raises InvalidInput when the statement does not hold the lock, or holds another than it names.
    """
    predicate = _predicate(statement).build_definition
    spec = predicate.external_parameters.spec
    for each in predicate.resolved_dependencies:
        if each.name == LOCK and _is_input(each) and each.content is not None:
            try:
                lock = base64.b64decode(each.content, validate=True)
            except binascii.Error as error:
                raise InvalidInput("the lock in the provenance is not base64") from error
            if Digest.of(lock) != each.sha256:
                raise InvalidInput("the lock in the provenance is not the one it names")
            return SpecFile(spec.name, spec.content), lock
    raise InvalidInput("the provenance does not hold the lock", remedy="Build and push the image again.")


def read_build(statement: Statement) -> Build | Absent:
    """What a verified statement says was done in the build. Raises InvalidInput as read_provenance does."""
    definition = _predicate(statement).build_definition
    made = definition.internal_parameters
    if made.steps is None or made.sdists is None:
        return Absent("the provenance does not say which commands ran, and what was built from source")
    tools = [(_builds(each), each) for each in definition.resolved_dependencies]
    return Build(
        tuple(BuildStep(one.command, one.network, one.user, one.layer) for one in made.steps),
        tuple(
            BuiltSdist(
                one.name,
                one.version,
                one.sha256,
                one.network,
                one.wheel,
                tuple(_locked(each) for name, each in tools if name == one.name),
            )
            for one in made.sdists
        ),
        made.bytecode is True,
    )


def _predicate(statement: Statement) -> Predicate:
    if statement.predicate_type != PREDICATE_TYPE:
        raise InvalidInput(f"the statement is not SLSA provenance v1 but {statement.predicate_type!r}")
    return validated(statement.predicate, Predicate, f"provenance of build type {BUILD_TYPE}")


def _is_input(descriptor: ResourceDescriptor) -> bool:
    """Whether this is the base or the lock. A package may be called the same, but has a version."""
    return descriptor.name in {BASE, LOCK} and VERSION not in (descriptor.annotations or {})


def _builds(descriptor: ResourceDescriptor) -> str | None:
    """The package that this one built, when that is why it is there."""
    name = (descriptor.annotations or {}).get(BUILD_OF)
    if not isinstance(name, str | None):
        raise InvalidInput(f"the provenance does not say plainly what {descriptor.name!r} built")
    return name


def _only(resolved: Sequence[ResourceDescriptor], name: str) -> Digest | None:
    found = [each for each in resolved if each.name == name and _is_input(each)]
    if len(found) > 1:
        raise InvalidInput(f"the provenance names {name!r} twice")
    if found and found[0].sha256 is None:
        raise InvalidInput(f"the provenance names {name!r} without a sha256 digest")
    return found[0].sha256 if found else None


def _locked(descriptor: ResourceDescriptor) -> LockedPackage:
    annotations = descriptor.annotations or {}
    version, index = annotations.get(VERSION), annotations.get(INDEX)
    if descriptor.name is None or not isinstance(version, str) or not isinstance(index, str | None):
        raise InvalidInput(f"the provenance names a package without name or version: {descriptor.name!r}")
    sha256, yanked = descriptor.sha256, annotations.get(YANKED)
    if not isinstance(yanked, bool | None):
        raise InvalidInput(f"the provenance does not say plainly whether {descriptor.name} was yanked")
    return LockedPackage(
        name=descriptor.name,
        version=version,
        sha256=sha256.hex if sha256 else None,
        url=descriptor.uri,
        index=index,
        upload_time=_time(annotations.get(UPLOAD_TIME), descriptor.name),
        yanked=yanked,
    )


def _time(text: object, name: str) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text if isinstance(text, str) else "")
    except ValueError as error:
        raise InvalidInput(f"the provenance gives {name} an upload time that is none: {text!r}") from error
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
