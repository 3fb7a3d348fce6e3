"""What a lock is made for, as its pins record it, and whether a lock still answers its spec."""

from __future__ import annotations

from builder.lockfile import LockFile, Pins
from builder.models.asked import asked
from builder.requirement_files import read_inputs
from builder.requirement_hashes import allows
from builder.requirements import Inputs
from builder.spec import SPEC_NAME, Spec
from builder.target import Target
from compliance.bases import BaseDefinition
from compliance.errors import InvalidInput


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
        current, reason = _is_current(part, spec, pins_of(spec, inputs, one))
        if not current:
            return False, reason
        if not allows(inputs, part.wheels, part.pins.target):
            return False, "the requirements allow other files, by their hashes"
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


def pins_of(spec: Spec, inputs: Inputs, base: BaseDefinition) -> Pins:
    """What is asked for on a base. Raises InvalidInput where a file wants another Python than it has."""
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
