"""buildah, wrapped: runs programs inside an image, without a daemon."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import sh

from compliance.errors import Unavailable


class Buildah:
    """The buildah program. Raises Unavailable where it is not installed."""

    def __init__(self) -> None:
        try:
            self._buildah = sh.Command("buildah")
        except sh.CommandNotFound as error:
            raise Unavailable(
                "buildah is not installed", remedy="Install it (Debian and Fedora: package buildah)."
            ) from error

    @contextmanager
    def container(
        self,
        image: str,
        *,
        within: Path | None = None,
        plain_http: bool = False,
        credentials: Path | None = None,
        keep_image: bool = True,
        proxy: bool = True,
    ) -> Iterator[Container]:
        """A working container made from `image`, removed afterwards, and the image with it unless it is kept.

        `image` is what buildah understands: `docker://host/repository@digest`, or `oci:DIRECTORY` with
        DIRECTORY relative to `within`, since buildah takes a name from it and refuses hidden directories.
        `credentials` is a file such as `docker login` writes. `proxy` hands this machine's proxy settings on.
        """
        options = ["--tls-verify=" + ("false" if plain_http else "true"), f"--http-proxy={str(proxy).lower()}"]
        if credentials is not None and credentials.exists():
            options.append(f"--authfile={credentials}")
        with _storage(fcntl.LOCK_SH):
            name = self._quietly("from", *options, image, within=within)
        source = self._quietly("inspect", "--format", "{{.FromImage}}", name)
        try:
            yield Container(self._buildah, name)
        finally:
            self._quietly("rm", name)
            if not keep_image:
                with _storage(fcntl.LOCK_EX):
                    self._quietly("rmi", source)

    def load(self, image: str, name: str, *, within: Path | None = None) -> str:
        """Copy an image into the local storage of buildah and podman as `name`; returns its id there."""
        identity = self._quietly("pull", image, within=within).splitlines()[-1]
        self._quietly("tag", identity, name)
        return identity

    def _quietly(self, *arguments: str, within: Path | None = None) -> str:
        # buildah fails where DOCKER_CONFIG names a directory without a file; what is in it is an option.
        environment = {name: value for name, value in os.environ.items() if name != "DOCKER_CONFIG"}
        try:
            return str(self._buildah(*arguments, _cwd=str(within or Path.cwd()), _env=environment)).strip()
        except sh.ErrorReturnCode as error:
            raise Unavailable(
                f"buildah {arguments[0]} failed: {_last_line(error.stderr)}",
                remedy=f"Run `buildah {' '.join(arguments)}` to see all it says.",
            ) from error


class Container:
    """A working container. Programs in it see the host's network, and run as the image's user."""

    def __init__(self, buildah: sh.Command, name: str) -> None:
        self._buildah = buildah
        self.name = name

    def run(self, command: Sequence[str], *, environment: Sequence[str] = ()) -> int:
        """Run `command` with the caller's standard streams and return its exit code.

        `environment` holds `NAME=value` settings. SIGTERM and SIGINT are passed on to the program.
        """
        settings = [option for setting in environment for option in ("--env", setting)]
        process = self._buildah(
            *("run", "--isolation", "chroot", *settings, self.name, "--", *command),
            _bg=True,
            _new_group=True,
            _bg_exc=False,
            _in=None if sys.stdin.isatty() else sys.stdin,
            _out=sys.stdout.buffer,
            _err=sys.stderr.buffer,
        )
        with _passing_signals(process):
            try:
                process.wait()
            except sh.ErrorReturnCode as error:
                return int(error.exit_code)
            except sh.SignalException as error:
                return 128 - int(error.exit_code)
        return 0

    def lines(self, command: Sequence[str]) -> Iterator[str]:
        """Run `command` without input and yield the lines of its standard output as they come.

        Raises Unavailable when it cannot be started or does not end with exit code 0.
        """
        try:
            yield from self._buildah(
                *("run", "--isolation", "chroot", self.name, "--", *command), _iter=True, _in=b"", _tty_out=False
            )
        except sh.ErrorReturnCode as error:
            raise Unavailable(
                f"{command[0]} did not run in the image: {_last_line(error.stderr)}",
                remedy="Try `mlbuild shell` to see what is in the image.",
            ) from error

    def terminal(
        self, command: Sequence[str], *, environment: Sequence[str] = (), mount: str, user: str | None = None
    ) -> int:
        """Run `command` on the caller's own terminal, with it as its controlling one, and return its exit code.

        `mount` is `HOST:INSIDE:OPTIONS` as buildah writes it; `user` is the image's own when None.
        """
        settings = [option for setting in environment for option in ("--env", setting)]
        if user is not None:
            settings += ["--user", user]
        if sys.stdin.isatty():
            settings += ["--terminal"]
        try:
            self._buildah(
                *("run", "--isolation", "chroot", "--volume", mount, *settings, self.name, "--", *command),
                _fg=True,
            )
        except sh.ErrorReturnCode as error:
            return int(error.exit_code)
        return 0


@contextmanager
def _storage(how: int) -> Iterator[None]:
    """Hold this user's image storage: many may make containers at once, and meanwhile nobody removes an image.

    An image that is removed takes the layers along that only it has, which another may just be counting on.
    """
    path = Path(tempfile.gettempdir()) / f"mlbuild-storage-{os.getuid()}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _passing_signals(process: sh.RunningCommand) -> Iterator[None]:
    def pass_on(number: int, _frame: FrameType | None) -> None:
        process.signal_group(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _last_line(raw: bytes) -> str:
    lines = raw.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
