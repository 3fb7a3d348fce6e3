"""One answer for several platforms: each has wheels of its own, of the same versions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from builder.sdists.resolve import Resolution
from builder.target import Target
from builder.uv import Question
from compliance.errors import InvalidInput

Resolve = Callable[[Question], Resolution]


def resolve_for_all(question: Question, targets: Sequence[Target], resolve: Resolve) -> tuple[Resolution, ...]:
    """The answer for each target. What several of them need has one version.

    The versions are those of the first target whose own choice suits the others too: a release may have
    wheels for one platform only. Raises InvalidInput when no target's does, as it was with the first.
    """
    if len(targets) == 1:
        return (resolve(question),)
    first_error: InvalidInput | None = None
    for leader in targets:
        own = resolve(replace(question, target=leader))
        try:
            return _following(question, leader, own, targets, resolve)
        except InvalidInput as error:
            first_error = first_error or error
    assert first_error is not None  # noqa: S101 - there is at least one target
    raise InvalidInput(
        f"one version of everything for all platforms was not found: {first_error.message}",
        at=first_error.at,
        remedy=first_error.remedy,
    ) from first_error


def _following(
    question: Question, leader: Target, own: Resolution, targets: Sequence[Target], resolve: Resolve
) -> tuple[Resolution, ...]:
    versions = {wheel.name: wheel.version for wheel in own.packages}
    answers: list[Resolution] = []
    for target in targets:
        answer = own if target == leader else resolve(_limited(question, target, versions))
        versions |= {wheel.name: wheel.version for wheel in answer.packages}
        answers.append(answer)
    return tuple(answers)


def _limited(question: Question, target: Target, versions: Mapping[str, str]) -> Question:
    pins = (f"{name}=={version}" for name, version in sorted(versions.items()))
    return replace(question, target=target, limits=(*question.limits, *pins))
