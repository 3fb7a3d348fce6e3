"""The wheels of a project: the rules for their layers, and which of them a build has to have on this machine.

What was found out about a wheel is kept under its hash, and its layer under what it was made from. So a wheel is
fetched only for a layer that is not there, or for a question about it that nobody asked before.
"""

from __future__ import annotations

from collections.abc import Sequence

from builder.cache import Cache
from builder.inside.bytecode import uncompiled
from builder.inside.work import layers_inside
from builder.layers.inputs import Environment, WheelInput
from builder.lockfile import LockFile
from builder.objects import unread_wheels
from builder.spec import Spec
from builder.wheel_plan import LayerRules, needed_for_layers
from compliance.bases import BaseDefinition


def environment_of(base: BaseDefinition) -> Environment:
    """The virtual environment of a base, which wheels go to."""
    return Environment(prefix=base.prefix, python=base.python)


def rules_of(spec: Spec, base: BaseDefinition, lock: LockFile) -> LayerRules:
    """What the layers of the wheels depend on besides the wheels: among it, how many others there will be."""
    system = lock.system is not None and bool(lock.system.debs)
    others = len(base.image.diff_ids) + system + len(lock.models) + layers_inside(spec)
    return LayerRules(others, environment_of(base), spec.compression)


def needed_wheels(
    wheels: Sequence[WheelInput], spec: Spec, base: BaseDefinition, rules: LayerRules, cache: Cache
) -> frozenset[str]:
    """The wheels, by sha256, that a build must have.

    As long as one was never measured, layers that turn out to be over the limit may need others besides.
    """
    needed = needed_for_layers(wheels, rules, cache) | unread_wheels(wheels, cache)
    if spec.bytecode:
        needed |= uncompiled(wheels, base.digest, rules.environment, cache)
    return needed
