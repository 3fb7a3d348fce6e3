"""The ELF closure of an image: whether all that its wheels' shared objects need is in it, before it is made.

What is refused, and what is not:

- A wheel whose extension modules all miss something cannot be used, and is refused; so is one that has none
  (its code loads libraries by name) when nothing in it can be loaded.
- An extension module that misses something is refused too when importing the package always imports it.
- Anything else that misses something is told in a line: plugins for drivers, codecs and other packages are
  loaded only where they are asked for. `mlbuild test` tells by running.
- A wheel without code of its own only carries libraries for others, and counts when one of those needs it.
- What the machine's graphics driver brings is never missed, nor what the spec names in `provided-libraries`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from installer.utils import Scheme
from packaging.utils import canonicalize_name

from builder.cache import Cache, StoredLayer
from builder.debian_libraries import package_with
from builder.import_chain import always_imported
from builder.layers.archive import open_archive
from builder.layers.wheel import Environment, WheelInput
from builder.loader import LoaderView, Placed, Problem
from builder.modules import module_of
from builder.objects import WheelObjects, objects_of_layer, objects_of_wheels
from builder.progress import Progress
from compliance.bases import BaseDefinition
from compliance.errors import InvalidInput
from compliance.inventory import OperatingSystem

_MACHINES: Final = {"amd64": "EM_X86_64-64", "arm64": "EM_AARCH64-64"}
_EXTENSION: Final = re.compile(r".+\.(?:cpython-3[0-9]+[a-z]*(?:-[a-z0-9_-]+)?|abi3)\.so")

Way = tuple[Problem, tuple[Placed, ...]]


@dataclass(frozen=True, slots=True)
class _Wheel:
    """A wheel, its objects at their places in the image, and whether it holds code."""

    input: WheelInput
    placed: tuple[Placed, ...]
    code: bool


@dataclass(frozen=True, slots=True)
class _Judged:
    """What keeps a wheel from being used, and all that anything in it misses."""

    fatal: tuple[Way, ...] = ()
    misses: tuple[Way, ...] = ()


def check_closure(
    wheels: Sequence[WheelInput],
    depends_on: Mapping[str, Collection[str]],
    base: BaseDefinition,
    layers: Iterable[StoredLayer],
    cache: Cache,
    progress: Progress,
    *,
    variables: Mapping[str, str] | None = None,
    provided: Collection[str] = (),
) -> None:
    """Raise InvalidInput, naming package, library and Debian package, when a wheel could not be loaded.

    `layers` are those of the base and of Debian packages, from the bottom up; `depends_on` says by
    normalised name which packages a package asks for; `variables` is the image's environment.
    """
    read = objects_of_wheels(wheels, cache, progress)
    environment = Environment(base.prefix, base.python)
    held = [_placed(wheel, objects, environment) for wheel, objects in zip(wheels, read, strict=True)]
    folders = (variables or {}).get("LD_LIBRARY_PATH", "").split(":")
    carriers = {item.input.name for item in held if item.placed and not item.code}
    view = LoaderView(
        _MACHINES[base.architecture],
        tuple(folder for folder in folders if folder),
        provided,
        {item.input.name: _reached(item.input.name, depends_on) | carriers for item in held},
    )
    for layer in layers:
        view.add_layer(objects_of_layer(layer, cache))
    for item in held:
        for placed in item.placed:
            view.add(placed)
    verdicts = {str(item.input): _judge(item, view, base.os) for item in held}
    for name, judged in verdicts.items():
        if judged.misses and not judged.fatal:
            progress.step(f"{name}: {_told(judged.misses)}; the rest of it can be loaded")
    refused = {name: judged for name, judged in verdicts.items() if judged.fatal}
    if refused:
        raise InvalidInput(
            "\n".join(_refusal(name, judged) for name, judged in refused.items()),
            remedy=_remedy([way for judged in refused.values() for way in judged.fatal], base),
        )


def _placed(wheel: WheelInput, read: WheelObjects, environment: Environment) -> _Wheel:
    project = canonicalize_name(wheel.name)
    places = []
    for item in read.objects:
        top, _, rest = item.path.partition("/")
        scheme, _, inner = rest.partition("/")
        if top.endswith(".data"):
            path = environment.scheme(Scheme(scheme), project) + inner
        else:
            path = f"{environment.site_packages}/{item.path}"
        places.append(Placed(item, f"{environment.prefix}/{path}", wheel.name))
    return _Wheel(wheel, tuple(places), read.code)


def _reached(name: str, depends_on: Mapping[str, Collection[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for other in depends_on.get(waiting.pop(), ()):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found


def _judge(wheel: _Wheel, view: LoaderView, system: OperatingSystem) -> _Judged:
    present = [placed for placed in wheel.placed if view.has(placed)]
    ways = {placed.path: list(view.problems(placed)) for placed in present} if wheel.code else {}
    misses = _distinct(way for found in ways.values() for way in found)
    if not misses:
        return _Judged()
    extensions = [placed for placed in present if _EXTENSION.fullmatch(placed.object.name)]
    needed = {found.path for placed in present for found in view.needs(placed)}
    entrances = extensions or [placed for placed in present if placed.path not in needed] or present
    failing = [placed for placed in entrances if ways[placed.path]]
    if len(failing) == len(entrances):
        # They may be variants of which one is enough: what is asked for is what is easiest to give.
        least = min((_distinct(ways[placed.path]) for placed in failing), key=lambda found: _effort(found, system))
        return _Judged(least, misses)
    always = _always_imported(wheel, [placed for placed in extensions if ways[placed.path]])
    return _Judged(_distinct(way for placed in always for way in ways[placed.path]), misses)


def _effort(ways: Sequence[Way], system: OperatingSystem) -> tuple[int, int]:
    """How many of these no package of the system has, and how many there are."""
    return sum(package_with(problem.library, system) is None for problem, _ in ways), len(ways)


def _always_imported(wheel: _Wheel, failing: Sequence[Placed]) -> list[Placed]:
    if not failing:
        return []
    with open_archive(wheel.input.path, str(wheel.input)) as archive:
        imported = always_imported(archive)
    return [placed for placed in failing if module_of(placed.object.path) in imported]


def _distinct(ways: Iterable[Way]) -> tuple[Way, ...]:
    """The shortest way to each library and version that is missed."""
    found: dict[tuple[str, str | None], Way] = {}
    for problem, way in ways:
        key = problem.library, problem.version
        if key not in found or len(way) < len(found[key][1]):
            found[key] = (problem, way)
    return tuple(found.values())


def _refusal(name: str, judged: _Judged) -> str:
    told = {(problem.library, problem.version) for problem, _ in judged.fatal}
    more = [way for way in judged.misses if (way[0].library, way[0].version) not in told]
    also = f". Other files of it need {_wanted(more)}" if more else ""
    return f"{name} cannot be loaded: {_told(judged.fatal)}{also}"


def _told(ways: Sequence[Way]) -> str:
    """What the first of these objects misses, and how it comes to need it."""
    start = ways[0][1][0]
    own = [way for way in ways if way[1][0] == start]
    verb = "are" if len(own) > 1 else "is"
    return f"{start.object.path} needs {_wanted(own)}, which {verb} not in the image"


def _wanted(ways: Iterable[Way]) -> str:
    return ", ".join(_thing(problem, way) for problem, way in ways)


def _thing(problem: Problem, way: Sequence[Placed]) -> str:
    through = f" (through {', '.join(placed.object.name for placed in way[1:])})" if len(way) > 1 else ""
    if problem.version is None:
        return problem.library + through
    has = f" (the image has up to {problem.at_most})" if problem.at_most else ""
    return f"{problem.version} of {problem.library}{through}{has}"


def _remedy(ways: Iterable[Way], base: BaseDefinition) -> str:
    missing = sorted({problem.library for problem, _ in ways if problem.version is None})
    packages = {library: package_with(library, base.os) for library in missing}
    known = sorted({package for package in packages.values() if package})
    unknown = [library for library, package in packages.items() if package is None]
    system = f"{base.os.id.capitalize()} {base.os.version}"
    parts = []
    if known:
        them = "it" if len(known) == 1 else "them"
        parts.append(
            f"{system} has {them} in {', '.join(known)}: write `system: [{', '.join(known)}]` in mlbuild.yaml, "
            f"or ask the owner of {base.name}, {base.recipe.owner}."
        )
    if unknown:
        parts.append(
            f"No package of {system} known to mlbuild has {', '.join(unknown)}: lock another version, or, where "
            f"the machine brings it, write `provided-libraries: [{', '.join(unknown)}]` in mlbuild.yaml."
        )
    if any(problem.version is not None for problem, _ in ways):
        parts.append("Lock a version made for an older system, or choose a newer base.")
    return " ".join(parts)
