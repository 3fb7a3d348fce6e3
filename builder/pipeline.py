"""The main job, step by step: lock, judge the lock, build, write the evidence, judge the image."""

from __future__ import annotations

from builder.lock_pins import is_current
from builder.lock_reader import read_lock
from builder.lockfile import LockFile
from builder.platform_image import BuiltProject, build_image_of, inputs_of, known_of_image, known_of_lock
from builder.platforms import bases_of, build_platforms, each_platform, host_architecture
from builder.project import Project, open_project
from builder.workshop import Workshop
from compliance.evidence import Evidence, Subject
from compliance.policy.decision import Decision
from compliance.policy.evaluate import evaluate
from compliance.policy.releases import asks_yanked, release_limits

__all__ = ["BuiltProject", "Project", "build", "everything", "known", "open_project", "settle_lock"]


def settle_lock(project: Project, workshop: Workshop, *, upgrade: bool = False, resolve: bool = False) -> LockFile:
    """The lock that answers the spec: the present one when it does, else one resolved now.

    `resolve` asks the index in any case, `upgrade` lets versions move.
    """
    base, *further = bases_of(project, workshop)
    if not (upgrade or resolve) and project.lock_path.exists():
        lock = read_lock(project.lock_path)
        current, reason = is_current(lock, project.spec, base, *further)
        if current:
            return lock
        workshop.progress.step(reason)
    from builder.lock import lock_project  # imported where a lock is made, since most runs have one that answers

    subject = Subject(project.spec.image, project.spec.stage)
    return lock_project(
        project.spec,
        project.spec_path,
        base,
        workshop.cache,
        workshop.progress,
        now=workshop.now,
        further=further,
        upgrade=upgrade,
        releases=release_limits(workshop.policies, subject, workshop.now),
        ask_yanked=asks_yanked(workshop.policies, subject),
        sdists=workshop.settings.sdist,
        accelerators=workshop.settings.accelerators,
        workers=workshop.settings.workers,
    )


def build(project: Project, workshop: Workshop, lock: LockFile | None = None) -> BuiltProject:
    """Build the image and sign its evidence: from `lock`, or the one that answers the spec.

    What is there already is not made again.
    """
    lock = settle_lock(project, workshop) if lock is None else lock
    return build_platforms(project, workshop, lock, host_architecture())


def known(project: Project, workshop: Workshop) -> dict[str, Evidence]:
    """What is known, by platform, of the image as last built, or of the lock when something has changed since."""
    lock = settle_lock(project, workshop)
    return {one.platform: _known(one, workshop, part) for one, part in each_platform(project, lock)}


def everything(project: Project, workshop: Workshop) -> dict[str, Decision]:
    """Lock, judge the lock, and when that does not refuse: build, and judge the image, for each platform."""
    lock = settle_lock(project, workshop)
    parts = each_platform(project, lock)
    early = {
        one.platform: evaluate(workshop.policies, known_of_lock(one, workshop, part), workshop.at)
        for one, part in parts
        if one.state.built_from != inputs_of(one, workshop, part)
    }
    if not all(decision.lets_in for decision in early.values()):
        return early
    images = build_platforms(project, workshop, lock, host_architecture()).each
    return {
        one.platform: evaluate(workshop.policies, known_of_image(one, workshop, built), workshop.at)
        for (one, _), built in zip(parts, images, strict=True)
    }


def _known(project: Project, workshop: Workshop, lock: LockFile) -> Evidence:
    if project.state.built_from == inputs_of(project, workshop, lock):
        return known_of_image(project, workshop, build_image_of(project, workshop, lock))
    return known_of_lock(project, workshop, lock)
