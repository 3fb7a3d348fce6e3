"""The text of a lock: the same pins and wheels give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import tomlkit
from packaging.pylock import PackageWheel
from tomlkit.items import AoT, Array, InlineTable, Table

from builder.lockfile import (
    FORMAT,
    LockedBuild,
    LockedModel,
    LockedPlatform,
    LockedSystem,
    LockedTool,
    LockedWheel,
    Pins,
)
from builder.target import Target, marker_of

_HEADER: Final = "Written by `mlbuild lock`. To change it, change the requirements and run that again."


def render(
    pins: Pins,
    wheels: Sequence[LockedWheel],
    system: LockedSystem | None = None,
    models: Sequence[LockedModel] = (),
    further: Sequence[LockedPlatform] = (),
) -> bytes:
    """The lock file's bytes (PEP 751): keys in the standard's order, packages by name.

    `further` is what other platforms than the first see. A package that is the same on all of them, but for
    its wheels, stands there once, with the wheels of all.
    """
    platforms = (LockedPlatform(pins, tuple(wheels), system), *further)
    document = tomlkit.document()
    document.add(tomlkit.comment(_HEADER))
    document.add("lock-version", tomlkit.string("1.0"))
    document.add("environments", _strings([_environment(one.pins.target) for one in platforms]))
    document.add("requires-python", tomlkit.string(f"=={pins.target.python}.*"))
    document.add("created-by", tomlkit.string("mlbuild"))
    packages = tomlkit.aot()
    for alike in _alike(platforms):
        packages.append(_package(alike, of=len(platforms)))
    document.add("packages", packages if len(packages) else tomlkit.array())
    tool = tomlkit.table(is_super_table=True)
    mlbuild = _tool(pins, [wheel for one in platforms for wheel in one.wheels])
    if system is not None:
        mlbuild.add("system", _system(pins, system))
    if models:
        mlbuild.add("models", _tables([_model(model) for model in models]))
    if further:
        mlbuild.add("platforms", _tables([_platform(one) for one in further]))
    tool.add("mlbuild", mlbuild)
    document.add("tool", tool)
    return (tomlkit.dumps(document).rstrip() + "\n").encode()


def _alike(platforms: Sequence[LockedPlatform]) -> list[list[tuple[str, LockedWheel]]]:
    """The wheels by name, each with the machine it is for; those that differ in nothing else are together."""
    groups: dict[LockedWheel, list[tuple[str, LockedWheel]]] = {}
    for one in platforms:
        for wheel in one.wheels:
            # A source distribution is not chosen by the platform's tags, so only the very same is alike.
            key = _but_for_its_file(wheel) if wheel.build is None else wheel
            groups.setdefault(key, []).append((one.pins.target.machine, wheel))
    return sorted(groups.values(), key=lambda group: (group[0][1].name, group[0][0] == "aarch64"))


def _but_for_its_file(wheel: LockedWheel) -> LockedWheel:
    return replace(wheel, filename="", url="", size=None, sha256="", upload_time=None)


def _platform(one: LockedPlatform) -> Table:
    table = tomlkit.table()
    table.add("platform", tomlkit.string(one.pins.target.platform))
    table.add("base", tomlkit.string(one.pins.base_digest))
    table.add("inputs", tomlkit.string(one.pins.digest))
    if one.system is not None:
        table.add("system", _system(one.pins, one.system))
    return table


def _environment(target: Target) -> str:
    return f"python_version == '{target.python}' and sys_platform == 'linux' and {marker_of(target.machine)}"


def _package(alike: Sequence[tuple[str, LockedWheel]], of: int = 1) -> Table:
    """One package with its wheels; with a marker when it is for fewer platforms than there are."""
    wheel = alike[0][1]
    package = tomlkit.table()
    package.add("name", tomlkit.string(wheel.name))
    package.add("version", tomlkit.string(wheel.version))
    if len(alike) < of:
        package.add("marker", tomlkit.string(" or ".join(marker_of(machine) for machine, _ in alike)))
    if wheel.depends_on:
        package.add("dependencies", _lines([_inline(name=name) for name in wheel.depends_on]))
    if wheel.index is not None:
        package.add("index", tomlkit.string(wheel.index))
    if wheel.build is None:
        files = {wheel.filename: wheel for _, wheel in alike}
        package.add("wheels", _lines([_artifact(wheel) for wheel in files.values()]))
    else:
        package.add("sdist", _artifact(wheel))
    tool = tomlkit.table(is_super_table=True)
    tool.add("mlbuild", _package_tool(wheel))
    package.add("tool", tool)
    return package


def _artifact(wheel: LockedWheel) -> InlineTable:
    table = tomlkit.inline_table()
    if PackageWheel(url=wheel.url, hashes={}).filename != wheel.filename:
        table.add("name", tomlkit.string(wheel.filename))
    if wheel.upload_time is not None:
        table.add("upload-time", tomlkit.item(wheel.upload_time))
    table.add("url", tomlkit.string(wheel.url))
    if wheel.size is not None:
        table.add("size", tomlkit.integer(wheel.size))
    table.add("hashes", _inline(sha256=wheel.sha256))
    return table


def _package_tool(wheel: LockedWheel) -> Table:
    table = tomlkit.table()
    if wheel.licence is not None:
        table.add("licence", tomlkit.string(wheel.licence))
    if wheel.direct:
        table.add("direct", tomlkit.boolean("true"))
    if wheel.chain:
        table.add("chain", _strings(wheel.chain))
    if wheel.yanked is not None:
        table.add("yanked", tomlkit.boolean(str(wheel.yanked).lower()))
    if wheel.build is not None:
        table.add("build", _build(wheel.build))
    return table


def _build(build: LockedBuild) -> Table:
    table = tomlkit.table()
    table.add("wheel", _built_wheel(build))
    table.add("requires", _lines([_built_by(tool) for tool in build.tools]))
    return table


def _built_wheel(build: LockedBuild) -> InlineTable:
    table = _inline(name=build.wheel)
    table.add("size", tomlkit.integer(build.size))
    table.add("sha256", tomlkit.string(build.sha256))
    return table


def _built_by(tool: LockedTool) -> InlineTable:
    table = _inline(name=tool.name, version=tool.version)
    if tool.index is not None:
        table.add("index", tomlkit.string(tool.index))
    table.add("url", tomlkit.string(tool.url))
    if tool.size is not None:
        table.add("size", tomlkit.integer(tool.size))
    table.add("sha256", tomlkit.string(tool.sha256))
    return table


def _tool(pins: Pins, wheels: Sequence[LockedWheel]) -> Table:
    table = tomlkit.table()
    table.add("version", tomlkit.integer(FORMAT))
    table.add("python", tomlkit.string(pins.target.python))
    table.add("platform", tomlkit.string(pins.target.platform))
    table.add("inputs", tomlkit.string(pins.digest))
    if pins.accelerator is not None:
        table.add("accelerator", tomlkit.string(pins.accelerator))
    indexes = sorted({wheel.index for wheel in wheels if wheel.index is not None})
    table.add("indexes", _strings(indexes))
    for key, texts in (
        ("requirements", pins.requirements),
        ("constraints", pins.constraints),
        ("options", pins.options),
        ("locks", pins.locks),
    ):
        if texts or key == "requirements":
            table.add(key, _lines([tomlkit.string(text) for text in texts]))
    base = tomlkit.table()
    base.add("name", tomlkit.string(pins.base_name))
    base.add("digest", tomlkit.string(pins.base_digest))
    table.add("base", base)
    return table


def _system(pins: Pins, system: LockedSystem) -> Table:
    table = tomlkit.table()
    table.add("packages", _strings(pins.system))
    table.add("resolved", tomlkit.item(system.resolved))
    debs = [_table(deb.model_dump(by_alias=True, exclude_none=True)) for deb in system.debs]
    table.add("debs", _tables(debs) if debs else tomlkit.array())
    return table


def _model(model: LockedModel) -> Table:
    values = {"path": model.path, "url": model.url, "to": model.to, "sha256": model.sha256, "size": model.size}
    return _table({key: value for key, value in values.items() if value is not None})


def _table(values: Mapping[str, Any]) -> Table:
    table = tomlkit.table()
    for key, value in values.items():
        table.add(key, _strings(value) if isinstance(value, tuple) else tomlkit.item(value))
    return table


def _tables(tables: Sequence[Table]) -> AoT:
    array = tomlkit.aot()
    for table in tables:
        array.append(table)
    return array


def _inline(**texts: str) -> InlineTable:
    table = tomlkit.inline_table()
    for key, text in texts.items():
        table.add(key, tomlkit.string(text))
    return table


def _strings(texts: Sequence[str]) -> Array:
    array = tomlkit.array()
    array.extend(texts)
    return array


def _lines(items: Sequence[object]) -> Array:
    """An array with one item a line, so that a change of one is a change of one line."""
    array = tomlkit.array()
    array.extend(items)
    return array.multiline(len(items) > 0)
