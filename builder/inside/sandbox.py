"""Where programs run while an image is built: a container of buildah's, cut off from the network and the host.

What holds a program in: a root file system of its own (chroot isolation, which needs no daemon and no
privileges of the machine's), namespaces of its own for processes and mounts, and unless the network is
asked for also for the network, in which there is not even a loopback address. Capabilities that lead out
of a chroot or make devices are dropped, and buildah's seccomp filter is on. A chroot is a weaker wall than
a virtual machine: code that nobody trusts belongs on a builder that is thrown away afterwards.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING, Final

from builder.cache import Cache
from builder.errors import BuilderError
from builder.image import BaseImage, ImageLayer, ImageSettings, assemble
from builder.inside.programs import program
from compliance.errors import Unavailable
from compliance.oci.layout import Layout

if TYPE_CHECKING:
    from builder.buildah import Container

ENVIRONMENT: Final = {
    "HOSTNAME": "mlbuild",
    "LC_ALL": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "SOURCE_DATE_EPOCH": "315532800",
    "TZ": "UTC",
}
"""What every program finds in its environment, so that it has little reason to do otherwise a second time."""

_LABEL: Final = "io.mlbuild.sandbox"
_SCRATCH: Final = "image-"
_LEFTOVER_SECONDS: Final = 24 * 60 * 60
_MACHINES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_NAMESPACES: Final = ("--pid", "--fork", "--kill-child", "--mount-proc")
_DROPPED: Final = (
    "CAP_AUDIT_WRITE",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SYS_CHROOT",
)
_TAIL: Final = 4096  # bytes of what a program said that are told when it fails


class Failed(BuilderError):
    """A program in a sandbox ended with an exit code other than 0. `tail` is the end of what it said."""

    def __init__(self, command: Sequence[str], code: int, tail: str) -> None:
        super().__init__(f"{command[0]} ended with exit code {code}:\n{tail}")
        self.code = code
        self.tail = tail


class Sandbox:
    """A container that programs run in, one after the other. What they leave in it stays for the next one."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def run(
        self,
        command: Sequence[str],
        *,
        stdin: IO[bytes] | None = None,
        stdout: IO[bytes] | None = None,
        user: str | None = None,
        network: bool = False,
        environment: Mapping[str, str] | None = None,
        directory: str | None = None,
    ) -> None:
        """Run `command` to its end, as the image's user unless `user` says otherwise.

        `stdin` and `stdout` are open files. What is said elsewhere is told when it fails: raises Failed then.
        """
        settings = {**ENVIRONMENT, **(environment or {})}
        words = [
            *_outside(*_NAMESPACES, *([] if network else ["--net"])),
            *("buildah", "run", "--isolation", "chroot", "--hostname", "mlbuild"),
            *("--cap-drop", ",".join(_DROPPED)),
            *(["--user", user] if user is not None else []),
            *(["--workingdir", directory] if directory is not None else []),
            *(option for name, value in settings.items() for option in ("--env", f"{name}={value}")),
            *(self._container.name, "--", *command),
        ]
        with tempfile.TemporaryFile() as said, Path(os.devnull).open("rb") as nothing:
            code = _run(words, stdin or nothing, stdout or said, said)
            if code:
                raise Failed(command, code, _tail(said))

    def read(self, command: str, names: Sequence[str], stdout: IO[bytes]) -> None:
        """Run the `read_tree` program on this container's files from outside it; it writes to `stdout`."""
        with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as said:
            asked.write("\0".join(names).encode("utf-8", "surrogateescape"))
            asked.seek(0)
            reader = [sys.executable, "-I", "-c", program("read_tree"), command, self._container.name]
            words = reader if os.geteuid() == 0 else ["buildah", "unshare", *reader]
            code = _run(words, asked, stdout, said)
            if code:
                raise BuilderError(f"the files of a build container cannot be read:\n{_tail(said)}")


@contextmanager
def open_sandbox(
    base: BaseImage,
    layers: Sequence[ImageLayer],
    settings: ImageSettings,
    cache: Cache,
    *,
    network: bool = False,
) -> Iterator[Sandbox]:
    """A sandbox of an image: the base, `layers` above it, and `settings`. It is removed afterwards.

    Raises Unavailable without buildah and BuilderError when the image is for another machine than this one.
    """
    from builder.buildah import Buildah  # imported where something runs inside: in most images nothing does

    here = os.uname().machine
    if _MACHINES.get(here) != base.config.architecture:
        raise BuilderError(
            f"nothing can be run in an image for {base.config.architecture} on this machine, which is {here}",
            remedy="Build it on a machine of that architecture, or without steps, bytecode and sdists.",
        )
    name = f"mlbuild-{uuid.uuid4().hex[:16]}"
    own = replace(settings, labels=(*settings.labels, (_LABEL, name)))  # so that nobody else has the same image
    with (
        _ending_in_order(),
        tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=_swept(cache.directory("inside"))) as scratch,
    ):
        layout = Layout.create(Path(scratch) / name)
        assemble(base, layers, own, layout)
        source = f"oci:{layout.root.name}"
        with Buildah().container(
            source,
            within=layout.root.parent,
            keep_image=False,
            proxy=network,
        ) as container:
            yield Sandbox(container)


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """SIGTERM ends the block as an exception does, so that no container is left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _swept(directory: Path) -> Path:
    """The directory, without what builds that were killed more than a day ago left in it."""
    oldest = time.time() - _LEFTOVER_SECONDS
    for leftover in directory.glob(f"{_SCRATCH}*"):
        with suppress(FileNotFoundError):  # another build swept it first
            if leftover.stat().st_mtime < oldest:
                shutil.rmtree(leftover)
    return directory


def _outside(*options: str) -> tuple[str, ...]:
    """The command that opens namespaces; without root, inside the user namespace that buildah works in."""
    unshare = ("unshare", *options)
    return unshare if os.geteuid() == 0 else ("buildah", "unshare", *unshare)


def _run(words: Sequence[str], stdin: IO[bytes], stdout: IO[bytes], stderr: IO[bytes]) -> int:
    import sh  # as above

    try:
        command = sh.Command(words[0])
    except sh.CommandNotFound as error:
        raise Unavailable(
            f"{words[0]} is not installed", remedy="Install it (Debian and Fedora: packages util-linux, buildah)."
        ) from error
    process = command(
        *words[1:],
        _in=stdin,
        _out=stdout,
        _err=stderr,
        _tty_out=False,
        _preexec_fn=_plain_umask,
        _bg=True,
        _bg_exc=False,
        _new_group=True,
    )
    try:
        process.wait()
    except sh.ErrorReturnCode as error:
        return int(error.exit_code)
    except sh.SignalException as error:
        return 128 - int(error.exit_code)
    except BaseException:
        process.signal_group(signal.SIGKILL)
        raise
    return 0


def _plain_umask() -> None:
    os.umask(0o022)


def _tail(said: IO[bytes]) -> str:
    """The end of what a program said, without what buildah and unshare add."""
    size = said.seek(0, io.SEEK_END)
    said.seek(max(0, size - _TAIL))
    lines = said.read().decode(errors="replace").strip().splitlines()
    own = [line for line in lines if line not in _WRAPPERS and not line.startswith(_WRAPPER_PREFIXES)]
    return "\n".join(own[-20:]) or "it said nothing"


_WRAPPERS: Final = ("Error: exit status 1",)
_WRAPPER_PREFIXES: Final = ("subprocess exited with status ", "Error: exit status ")
