"""The text of a lock: the same pins and wheels give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import tomlkit
from packaging.pylock import PackageWheel
from tomlkit.items import AoT, Array, InlineTable, Table

from builder.lockfile import FORMAT, LockedModel, LockedSystem, LockedWheel, Pins
from builder.target import Target

_HEADER: Final = "Written by `mlbuild lock`. To change it, change the requirements and run that again."


def render(
    pins: Pins,
    wheels: Sequence[LockedWheel],
    system: LockedSystem | None = None,
    models: Sequence[LockedModel] = (),
) -> bytes:
    """The lock file's bytes (PEP 751): keys in the standard's order, packages by name."""
    document = tomlkit.document()
    document.add(tomlkit.comment(_HEADER))
    document.add("lock-version", tomlkit.string("1.0"))
    document.add("environments", _strings([_environment(pins.target)]))
    document.add("requires-python", tomlkit.string(f"=={pins.target.python}.*"))
    document.add("created-by", tomlkit.string("mlbuild"))
    packages = tomlkit.aot()
    for wheel in sorted(wheels, key=lambda wheel: wheel.name):
        packages.append(_package(wheel))
    document.add("packages", packages if wheels else tomlkit.array())
    tool = tomlkit.table(is_super_table=True)
    mlbuild = _tool(pins, wheels)
    if system is not None:
        mlbuild.add("system", _system(pins, system))
    if models:
        mlbuild.add("models", _tables([_model(model) for model in models]))
    tool.add("mlbuild", mlbuild)
    document.add("tool", tool)
    return (tomlkit.dumps(document).rstrip() + "\n").encode()


def _environment(target: Target) -> str:
    return (
        f"python_version == '{target.python}' and sys_platform == 'linux' "
        f"and platform_machine == '{target.machine}'"
    )


def _package(wheel: LockedWheel) -> Table:
    package = tomlkit.table()
    package.add("name", tomlkit.string(wheel.name))
    package.add("version", tomlkit.string(wheel.version))
    if wheel.depends_on:
        package.add("dependencies", _lines([_inline(name=name) for name in wheel.depends_on]))
    if wheel.index is not None:
        package.add("index", tomlkit.string(wheel.index))
    package.add("wheels", _lines([_artifact(wheel)]))
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
    return table


def _tool(pins: Pins, wheels: Sequence[LockedWheel]) -> Table:
    table = tomlkit.table()
    table.add("version", tomlkit.integer(FORMAT))
    table.add("python", tomlkit.string(pins.target.python))
    table.add("platform", tomlkit.string(pins.target.platform))
    table.add("inputs", tomlkit.string(pins.digest))
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
