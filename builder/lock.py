"""From a spec to its lock: resolve with uv, read the wheels' metadata, write `pylock.toml`.

The same question with the same answer gives the same bytes, and pins that still fit are kept, so that a
change of one requirement is a small change of the file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from builder.accelerators import accelerated, read_indexes
from builder.cache import Cache
from builder.cuda import check_base, check_packages
from builder.dependencies import Dependencies, trace
from builder.lock_pins import pins_of
from builder.lock_reader import parse_lock
from builder.lock_writer import render
from builder.lockfile import LOCK_NAME, LockedPlatform, LockedSystem, LockedWheel, LockFile, Pins
from builder.metadata import read_metadata
from builder.models.lock import lock_models
from builder.one_answer import resolve_for_all
from builder.progress import Progress
from builder.requirement_files import read_inputs
from builder.requirement_hashes import check_hashes
from builder.requirements import Inputs
from builder.sdists.needed import opening
from builder.sdists.resolve import Resolution, Resolver
from builder.spec import Spec
from builder.system.lock import AskedDebs, lock_system
from builder.target import Target
from builder.uv import Question, Uv
from builder.yanked import read_yanked
from compliance.bases import BaseDefinition
from compliance.document import read_document
from compliance.errors import InvalidInput, Location
from compliance.policy.releases import ReleaseLimits
from compliance.toml_document import parse_toml_document


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
    targets = [pins_of(spec, inputs, one) for one in bases]
    asked_at = read_document(spec_path).where(("accelerator",))
    check_base(spec.accelerator, base, asked_at)
    pinned, before = _pinned(path, progress)
    progress.step(f"resolving {len(targets[0].requirements)} requirements for Python {base.python}")
    question = _question(spec_path, inputs, targets[0].target, pinned, releases, upgrade=upgrade)
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
        check_hashes(inputs, answer.packages, target)
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
        _replace(path, raw)
    return lock


def _question(
    spec_path: Path,
    inputs: Inputs,
    target: Target,
    pinned: bytes | None,
    releases: ReleaseLimits | None,
    *,
    upgrade: bool,
) -> Question:
    return Question(
        spec_path=spec_path.absolute(),
        files=tuple(path.absolute() for path in inputs.files),
        dependencies=inputs.lines,
        target=target,
        pinned=pinned,
        upgrade=upgrade,
        releases=releases,
        limits=tuple(pin.requirement for followed in inputs.locks for pin in followed.pins if pin.foreign is None),
    )


def _replace(path: Path, raw: bytes) -> None:
    """Write the lock whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(raw)
    part.replace(path)


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
