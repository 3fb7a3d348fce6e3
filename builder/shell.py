"""A shell for an image that has none: a static busybox, mounted beside the image's own files.

It is Debian's build of it, fetched once by hash from where the bases' packages come from, and stands in the
cache. The image stays as it is, and the container that the shell runs in is thrown away.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from builder.buildah import Container
from builder.cache import Cache
from builder.fetch import Artifact, FetchError, fetch
from builder.layers.deb import read_deb
from builder.progress import Progress
from compliance.bases import BaseDefinition
from compliance.errors import Unavailable
from compliance.oci.manifest import ImageConfig

INSIDE: Final = "/.mlbuild-shell"

_POOL: Final = "pool/main/b/busybox/busybox-static_1.35.0-4%2Bdeb12u1%2Bb1"
_SHA256: Final = {
    "amd64": "3d3fdbe91d4660c873e14b092c213fe81c1da6362daa236eb25d0171eb108744",
    "arm64": "732c9135564fc71337e0e05fb4da4d11e6c28c1834bce3e405e575afef2a52f5",
}
_SNAPSHOT: Final = "20261101T000000Z"
"""A time at which that package was current, for the archive of what once was."""


def tools_for(architecture: str, bases: Iterable[BaseDefinition], cache: Cache, progress: Progress) -> Path:
    """A directory with busybox in it and a link for each of its programs; made once a cache.

    Raises Unavailable when there is no busybox for the architecture, it cannot be had, or cannot run here.
    """
    sha256 = _SHA256.get(architecture)
    if sha256 is None:
        raise Unavailable(f"there is no debug shell for {architecture}, only for {' and '.join(_SHA256)}")
    tools = cache.directory("shell") / sha256
    if tools.is_dir():
        return tools
    package = _fetched(sha256, architecture, bases, cache, progress)
    with tempfile.TemporaryDirectory(dir=tools.parent) as scratch:
        fresh = Path(scratch) / "tools"
        fresh.mkdir(mode=0o755)
        _unpack(package, Path(scratch), fresh / "busybox")
        for name in _programs(fresh / "busybox"):
            (fresh / name).symlink_to("busybox")
        with suppress(OSError):  # another process was faster, and its directory is as good
            fresh.rename(tools)
    return tools


def open_shell(
    container: Container, config: ImageConfig, tools: Path, *, command: Sequence[str] = (), user: str | None = None
) -> int:
    """Run the shell, or `command` in its place, on the caller's terminal; returns its exit code.

    The image's own programs come first on the PATH. `user` is the image's own when None.
    """
    variables = dict(setting.partition("=")[::2] for setting in config.config.env or ())
    path = f"{variables.get('PATH', '/usr/local/bin:/usr/bin:/bin')}:{INSIDE}"
    return container.terminal(
        tuple(command) or (f"{INSIDE}/busybox", "sh"),
        environment=(f"PATH={path}", "PS1=[mlbuild shell] \\w \\$ "),
        mount=f"{tools}:{INSIDE}:ro",
        user=user,
    )


def _fetched(
    sha256: str, architecture: str, bases: Iterable[BaseDefinition], cache: Cache, progress: Progress
) -> Path:
    failures = []
    for place in dict.fromkeys(_places(bases)):
        artifact = Artifact(f"{place}/{_POOL}_{architecture}.deb", sha256, None, "busybox-static")
        try:
            return fetch([artifact], cache, progress)[sha256]
        except FetchError as error:
            failures.append(error.message)
    raise Unavailable(
        f"the debug shell cannot be had: {'; '.join(failures) or 'no base names a Debian archive'}",
        remedy="Try again with a network; it is kept in the cache from then on.",
    )


def _places(bases: Iterable[BaseDefinition]) -> Iterator[str]:
    """The Debian archives of the bases: their mirrors first, then what once was."""
    archives = [archive for base in bases for archive in base.recipe.archives]
    yield from (archive.mirror for archive in archives)
    yield from (f"{archive.snapshot}/{_SNAPSHOT}" for archive in archives)


def _unpack(package: Path, scratch: Path, target: Path) -> None:
    for entry in read_deb(package, scratch).entries:
        if entry.path == "usr/bin/busybox" and entry.content is not None:
            with entry.content() as stream:
                target.write_bytes(stream.read())
            target.chmod(0o755)
            return
    raise Unavailable(f"{package.name} holds no busybox")


def _programs(busybox: Path) -> list[str]:
    try:
        listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unavailable(
            f"busybox cannot run on this machine: {error}",
            remedy="Images run on machines of their own architecture.",
        ) from error
    return [name for name in listed.split() if name != "busybox"]
