"""The image config: what the base says, what the spec says over it, and the layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from compliance.oci.digest import Digest
from compliance.oci.manifest import History, ImageConfig, RootFs, RuntimeConfig

WORKING_DIR: Final = "/app"
LOCK_LABEL: Final = "io.mlbuild.lock"


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """What the spec says of how the image runs. None leaves it to the base, as in a Dockerfile.

    `reference` is the name in the layout's index. `created` is RFC 3339 and never the clock's. `ports`
    are `8080/tcp`. `labels` are added to the base's.
    """

    reference: str
    created: str | None = None
    user: str | None = None
    env: tuple[tuple[str, str], ...] = ()
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    ports: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    lock: Digest | None = None
    working_dir: str = WORKING_DIR


def image_config(below: ImageConfig, layers: Sequence[tuple[Digest, str]], settings: ImageSettings) -> ImageConfig:
    """The base's config with the spec's settings over it, and the layers above: diffID and contents in words."""
    history = tuple(History(created=settings.created, created_by=f"mlbuild {contents}") for _, contents in layers)
    return ImageConfig(
        created=settings.created or below.created,
        architecture=below.architecture,
        os=below.os,
        variant=below.variant,
        config=runtime_config(below.config, settings),
        rootfs=RootFs(diff_ids=(*below.rootfs.diff_ids, *(diff_id for diff_id, _ in layers))),
        history=(*(below.history or ()), *history),
    )


def runtime_config(base: RuntimeConfig, settings: ImageSettings) -> RuntimeConfig:
    """What the base's config and the spec's settings together make a runtime do."""
    entrypoint, command = settings.entrypoint, settings.command
    ports: dict[str, dict[str, Any]] = {port: {} for port in settings.ports}
    labels = {**(base.labels or {}), **dict(settings.labels)}
    if settings.lock is not None:
        labels[LOCK_LABEL] = settings.lock
    return base.model_copy(
        update={
            "user": settings.user if settings.user is not None else base.user,
            "env": _environment(base.env or (), settings.env),
            "entrypoint": entrypoint if entrypoint is not None else base.entrypoint,
            # As in a Dockerfile: the base's command was meant for the base's entrypoint.
            "cmd": command if command is not None or entrypoint is not None else base.cmd,
            "exposed_ports": dict(sorted({**(base.exposed_ports or {}), **ports}.items())) or None,
            "labels": dict(sorted(labels.items())) or None,
            "working_dir": settings.working_dir,
        }
    )


def _environment(base: Iterable[str], own: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The base's variables with the spec's in their place, further ones after them, sorted."""
    variables = dict(line.partition("=")[::2] for line in base)
    variables.update(sorted(own))
    return tuple(f"{name}={value}" for name, value in variables.items())
