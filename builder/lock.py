"""From a spec to its lock: resolve with uv, read the wheels' metadata, write `pylock.toml`.

The same question with the same answer gives the same bytes, and pins that still fit are kept, so that a
change of one requirement is a small change of the file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from builder.accelerators import accelerated, check_base, check_packages, read_indexes
from builder.cache import Cache
from builder.dependencies import Dependencies, trace
from builder.lock_reader import parse_lock, read_lock
from builder.lock_writer import render
from builder.lockfile import LOCK_NAME, LockedPlatform, LockedSystem, LockedWheel, LockFile, Pins
from builder.metadata import read_metadata
from builder.models.asked import asked
from builder.models.lock import lock_models
from builder.one_answer import resolve_for_all
from builder.progress import Progress
from builder.requirements import Inputs, read_inputs
from builder.sdists import Resolution, Resolver, opening
from builder.spec import SPEC_NAME, Spec
from builder.system import AskedDebs, lock_system
from builder.target import Target
from builder.uv import Question, Uv
from builder.yanked import read_yanked
from compliance.bases import BaseDefinition
from compliance.document import read_document
from compliance.errors import InvalidInput, Location
from compliance.evidence import Lock, LockedPackage
from compliance.inventory import Ecosystem, Origin, Package
from compliance.oci.digest import Digest
from compliance.policy.releases import ReleaseLimits
from compliance.toml_document import parse_toml_document

__all__ = [
    "LOCK_NAME",
    "LockFile",
    "LockedWheel",
    "as_evidence",
    "inventory_packages",
    "is_current",
    "lock_project",
    "read_lock",
]


def lock_project(
    spec: Spec,
    spec_path: Path,
    base: BaseDefinition,
    cache: Cache,
    progress: Progress,
    *,
    now: datetime,
    further: Sequence[BaseDefinition] = (),
    upgrade: bool = False,
    releases: ReleaseLimits | None = None,
    ask_yanked: bool = False,
    sdists: bool = True,
    accelerators: Path | None = None,
    workers: int = 8,
    environment: Mapping[str, str] = os.environ,
) -> LockFile:
    """Lock the project of `spec_path` for `base`, and write the lock beside it when it has changed.

    `further` are the same base on the other platforms of the spec; versions are the same on all of them.
    `upgrade` lets every version move; otherwise those in the present lock are kept where they still fit.
    `now` is when Debian packages that are resolved count as current.
    `releases` is how new a release may be, whatever was locked before; `ask_yanked` has the indexes asked
    which releases they have withdrawn. `sdists` lets packages without a wheel be built from source.
    `accelerators` is a table of indexes in place of the one that comes with mlbuild.
    `environment` is where index settings and credentials come from. Raises InvalidInput when the
    requirements are wrong or cannot be met, Unavailable when an index cannot be asked.
    """
    path = spec_path.parent / LOCK_NAME
    inputs = read_inputs(spec, spec_path)
    bases = (base, *further)
    targets = [_pins(spec, inputs, one) for one in bases]
    asked_at = read_document(spec_path).where(("accelerator",))
    check_base(spec.accelerator, base, asked_at)
    pinned, before = _pinned(path, progress)
    progress.step(f"resolving {len(targets[0].requirements)} requirements for Python {base.python}")
    question = Question(
        spec_path=spec_path.absolute(),
        files=tuple(path.absolute() for path in inputs.files),
        dependencies=inputs.lines,
        target=targets[0].target,
        pinned=pinned,
        upgrade=upgrade,
        releases=releases,
        limits=tuple(pin.requirement for followed in inputs.locks for pin in followed.pins if pin.foreign is None),
    )
    base_of = dict(zip((pins.target for pins in targets), bases, strict=True))

    def resolve_on(question: Question) -> Resolution:
        one = base_of[question.target]
        resolver = Resolver(
            Uv.find(environment),
            question,
            inputs,
            lambda some: read_metadata(some, cache.records("metadata"), environment, progress, workers),
            opening(one, cache, progress, workers=workers, allowed=sdists),
            progress,
        )
        return resolver.resolve(_seen_by(before, question.target))

    platforms = []
    resolve = accelerated(resolve_on, spec.accelerator, read_indexes(accelerators))
    answers = resolve_for_all(question, list(base_of), resolve)
    for (target, one), pins, answer in zip(base_of.items(), targets, answers, strict=True):
        for followed in inputs.locks:
            followed.check(answer.packages, alone=len(spec.requirements or ()) == 1 and not spec.dependencies)
        why = trace([asked.requirement for asked in inputs.asked], answer.metadata, target)
        yanked = read_yanked(answer.packages, environment, workers) if ask_yanked else {}
        wheels = _locked_wheels(answer, why, yanked)
        check_packages(spec.accelerator, wheels, asked_at)
        system = None
        if spec.system:
            system = _same_system(None if upgrade else before, pins) or lock_system(
                _asked_debs(spec, spec_path), one, cache, progress, now=now, workers=workers
            )
        platforms.append(LockedPlatform(pins, wheels, system))
    models = lock_models(spec.models, spec_path, before.models if before is not None else (), cache, progress)
    first, *others = platforms
    raw = render(first.pins, first.wheels, first.system, models, others)
    lock = parse_lock(raw, path)
    if raw != pinned:
        part = path.with_name(f".{path.name}.{os.getpid()}")
        part.write_bytes(raw)
        part.replace(path)
    return lock


def is_current(lock: LockFile, spec: Spec, base: BaseDefinition, *further: BaseDefinition) -> tuple[bool, str]:
    """Whether the lock still answers the spec beside it, and in a few words why not. Nothing is resolved.

    `further` are the same base on the spec's other platforms.
    """
    bases = (base, *further)
    wanted, locked = [Target.of(one).machine for one in bases], [one.pins.target.machine for one in lock.each]
    if wanted != locked:
        return False, f"the spec is for {' and '.join(wanted)}, the lock for {' and '.join(locked)}"
    inputs = read_inputs(spec, lock.path.parent / SPEC_NAME)
    for one, part in zip(bases, lock.each, strict=True):
        current, reason = _is_current(part, spec, _pins(spec, inputs, one))
        if not current:
            return False, reason
    return True, "the lock answers the spec"


def _is_current(lock: LockFile, spec: Spec, now: Pins) -> tuple[bool, str]:
    then = lock.pins
    if now.digest == then.digest:
        locked = {model.to: model.sha256 for model in lock.models}
        other = [model.target for model in spec.models if model.sha256 not in {None, locked[model.target]}]
        if other:
            return False, f"the spec pins another sha256 for {', '.join(other)}"
        return True, "the lock answers the spec"
    if now.base_name != then.base_name:
        return False, f"the spec names the base {now.base_name}, the lock is for {then.base_name}"
    if (now.base_digest, now.target) != (then.base_digest, then.target):
        return False, f"the base {now.base_name} is now {now.base_digest}, the lock is for {then.base_digest}"
    if now.accelerator != then.accelerator:
        return False, f"the accelerator is {now.accelerator}, the lock is for {then.accelerator}"
    for kind, new, old in (
        ("requirements", now.requirements, then.requirements),
        ("constraints", now.constraints, then.constraints),
        ("index options", now.options, then.options),
        ("locks to follow", now.locks, then.locks),
        ("Debian packages", now.system, then.system),
        ("models", now.models, then.models),
    ):
        added, gone = sorted(set(new) - set(old)), sorted(set(old) - set(new))
        if added or gone:
            changes = [*(f"+ {text}" for text in added), *(f"- {text}" for text in gone)]
            return False, f"the {kind} have changed: {', '.join(changes)}"
    return False, "the lock was made for something else"


def as_evidence(lock: LockFile) -> Lock:
    """The lock as policies see it."""
    packages = (
        LockedPackage(
            name=wheel.name,
            version=wheel.version,
            sha256=wheel.sha256,
            url=wheel.url,
            index=wheel.index,
            upload_time=wheel.upload_time,
            yanked=wheel.yanked,
        )
        for wheel in lock.wheels
    )
    return Lock(lock.digest, tuple(packages))


def inventory_packages(lock: LockFile, layer_of: Mapping[str, Digest] | None = None) -> tuple[Package, ...]:
    """The locked packages as parts of an image, sorted by purl. `layer_of` gives the layer of each, by name."""
    purls = {wheel.name: wheel.purl for wheel in lock.wheels}
    packages = (
        Package(
            purl=wheel.purl,
            name=wheel.name,
            version=wheel.version,
            ecosystem=Ecosystem.PYPI,
            origin=Origin.DEPENDENCY,
            layer=layer_of[wheel.name] if layer_of is not None else None,
            licence=wheel.licence,
            sha256=wheel.sha256,
            url=wheel.url,
            chain=wheel.chain,
            depends_on=tuple(sorted(purls[name] for name in wheel.depends_on)),
        )
        for wheel in lock.wheels
    )
    return tuple(sorted(packages, key=lambda package: package.purl))


def _pins(spec: Spec, inputs: Inputs, base: BaseDefinition) -> Pins:
    _check_python(inputs, base)
    return Pins(
        base.name,
        base.digest,
        Target.of(base),
        inputs.requirements,
        inputs.limits,
        inputs.options,
        tuple(sorted(spec.system)),
        asked(spec.models),
        inputs.locked,
        spec.accelerator,
    )


def _check_python(inputs: Inputs, base: BaseDefinition) -> None:
    """Raise InvalidInput where a file wants another Python than the base has."""
    minimal = f"python{base.python}-minimal"
    installed = next((one.version for one in base.packages if one.name == minimal), base.python).partition("-")[0]
    for wanted, at in inputs.pythons:
        if not wanted.contains(installed, prereleases=True):
            raise InvalidInput(
                f"wants Python {wanted}, and the base {base.name} has {installed}",
                at=at,
                remedy="Name another base (`mlbuild base list` shows them), or let this file allow that Python.",
            )


def _locked_wheels(
    answer: Resolution,
    why: Dependencies,
    yanked: Mapping[str, bool | None],
) -> tuple[LockedWheel, ...]:
    return tuple(
        LockedWheel(
            name=wheel.name,
            version=wheel.version,
            filename=wheel.filename,
            url=wheel.url,
            size=wheel.size,
            sha256=wheel.sha256,
            upload_time=wheel.upload_time,
            index=wheel.index,
            licence=answer.metadata[wheel.name].licence,
            chain=why.chains.get(wheel.name, ()),
            depends_on=why.depends_on[wheel.name],
            direct=len(why.chains.get(wheel.name, ())) == 1,
            yanked=yanked.get(wheel.name),
            build=answer.builds.get(wheel.name),
        )
        for wheel in answer.packages
    )


def _seen_by(lock: LockFile | None, target: Target) -> LockFile | None:
    """The lock as a platform sees it, where it is for that platform."""
    each = lock.each if lock is not None else ()
    return next((part for part in each if part.pins.target.machine == target.machine), None)


def _same_system(before: LockFile | None, pins: Pins) -> LockedSystem | None:
    """The Debian packages of the lock there is, when the same were asked for on the same base."""
    for part in before.each if before is not None else ():
        if (part.pins.system, part.pins.base_digest) == (pins.system, pins.base_digest):
            return part.system
    return None


def _asked_debs(spec: Spec, spec_path: Path) -> AskedDebs:
    document = read_document(spec_path)
    places = tuple(document.where(("system", index)) for index in range(len(spec.system)))
    return AskedDebs(spec.system, document.where(("system",)), places)


def _pinned(path: Path, progress: Progress) -> tuple[bytes, LockFile] | tuple[None, None]:
    """The present lock, for the versions in it; None when there is none that can be read."""
    if not path.is_file():
        return None, None
    raw = path.read_bytes()
    try:
        return raw, parse_lock(raw, path)
    except InvalidInput as error:
        _refuse_other_tools(raw, path)
        progress.step(f"{error.message}; so every version is chosen anew")
        return None, None


def _refuse_other_tools(raw: bytes, path: Path) -> None:
    """Raise InvalidInput when the lock there is was written by another tool: it is not ours to replace."""
    try:
        author = parse_toml_document(raw, path).data.get("created-by", "mlbuild")
    except InvalidInput:
        return
    if author != "mlbuild":
        raise InvalidInput(
            f"was written by {author}, and would be replaced",
            at=Location(path),
            remedy=f"Move it, for example to locked/{LOCK_NAME}; to follow it, name that under `requirements`.",
        )
