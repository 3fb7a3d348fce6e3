"""Pull and start one image whose layers are in gzip and in zstd, by docker, podman and containerd.

Both images have the same tars, so the same config; only the blobs differ. They come from a CNCF distribution on
the loopback: the network costs next to nothing, and the difference in size, which is told, comes on top of what
is measured. Each client begins with an empty storage of its own, in turns; its daemon, where it has one, is
started before the clock. "start" is a container that imports scikit-learn and ends.

Run as `make bench-pull`. `--rounds N` repeats everything and prints medians.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from benchmarks.build import REQUIREMENTS, write_project
from benchmarks.contenders import run
from benchmarks.measure import machine, seconds
from builder.layers.stream import Compression, Compressor, Hashing
from compliance.errors import Unavailable
from compliance.oci.layer import open_layer
from compliance.oci.layout import Layout
from compliance.oci.manifest import OCI_MANIFEST, Descriptor, Manifest
from compliance.oci.registry import RegistryClient

CHUNK: Final = 1 << 20
COMMAND: Final = ("python", "-c", "import sklearn")
START_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds."""

    pull: float
    start: float


def build(root: Path) -> Layout:
    """The image of `benchmarks.build`, in gzip, as mlbuild makes it."""
    project = root / "project"
    write_project(project)
    run(
        [sys.executable, "-m", "builder", "--quiet", "-C", str(project), "build"],
        MLBUILD_CACHE=str(root / "cache"),
        MLBUILD_KEY=str(root / "key.pem"),
        MLBUILD_TRUSTED_KEYS=str(root / "trusted-keys"),
    )
    return Layout(project / ".mlbuild" / "image")


def recompressed(layout: Layout, target: Path, compression: Compression) -> Layout:
    """The same image with other blobs of the same tars, by the builder's own compressor."""
    manifest, config = layout.image(layout.index().manifests[0].digest)
    copy = Layout.create(target)
    stored = copy.write_bytes(config.to_json(), manifest.config.media_type)
    if stored.digest != manifest.config.digest:
        raise SystemExit("the config does not survive being read and written")
    layers = []
    for number, layer in enumerate(manifest.layers):
        file = target / f"layer-{number}"
        with open_layer(layout.path(layer.digest)) as tar, file.open("wb") as stream:
            blob = Hashing(stream)
            compressor = Compressor(blob, compression)
            while chunk := tar.read(CHUNK):
                compressor.write(chunk)
            compressor.finish()
        copy.add_file(file, blob.digest)
        file.unlink()
        layers.append(Descriptor(media_type=compression.media_type, digest=blob.digest, size=blob.size))
    written = copy.write_bytes(Manifest(config=stored, layers=tuple(layers)).to_json(), OCI_MANIFEST)
    copy.write_index([written])
    return copy


def push(layout: Layout, host: str, tag: str) -> int:
    """Push the layout's image; returns the bytes of its layers."""
    digest = layout.index().manifests[0].digest
    manifest, _ = layout.image(digest)
    with RegistryClient(host) as client:
        for blob in (manifest.config, *manifest.layers):
            client.push_blob("bench", blob.digest, blob.size, partial(open_file, layout.path(blob.digest)))
        client.put_manifest("bench", tag, layout.read_bytes(digest), OCI_MANIFEST)
    return sum(layer.size for layer in manifest.layers)


def open_file(path: Path) -> BinaryIO:
    return path.open("rb")


@contextmanager
def daemon(command: list[str], ready: Callable[[], bool], log: Path) -> Iterator[None]:
    """Run a daemon until the block ends."""
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command[0]} does not start: {log.read_text()[-800:]}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


@contextmanager
def registry(root: Path) -> Iterator[str]:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    config = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(root / "storage")}},
        "http": {"addr": host, "secret": "of-the-benchmark"},
    }
    (root / "registry.json").write_text(json.dumps(config))
    command = ["docker-registry", "serve", str(root / "registry.json")]
    with daemon(command, lambda: answers(host), root / "registry.log"):
        yield host


def answers(host: str) -> bool:
    with RegistryClient(host) as client, suppress(Unavailable):
        client.ping()
        return True
    return False


def succeeds(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextmanager
def docker(root: Path) -> Iterator[tuple[list[str], list[str]]]:
    socket_ = f"unix://{root}/docker.sock"
    command = [
        *("dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none", "--host", socket_),
        *("--data-root", f"{root}/data", "--exec-root", f"{root}/exec", "--pidfile", f"{root}/pid"),
    ]
    client = ["docker", "--host", socket_]
    with daemon(command, lambda: succeeds([*client, "version"]), root / "log"):
        yield [*client, "pull", "--quiet"], [*client, "run", "--rm", "--network", "none"]


@contextmanager
def podman(root: Path) -> Iterator[tuple[list[str], list[str]]]:
    client = ["podman", "--root", f"{root}/storage", "--runroot", f"{root}/run", "--cgroup-manager", "cgroupfs"]
    client += ["--runtime", "runc"]  # as docker and containerd have it
    limits = ["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"]  # its own defaults may be over ours
    yield (
        [*client, "pull", "--quiet", "--tls-verify=false"],
        [*client, "run", "--rm", "--network", "none", "--pull", "never", *limits],
    )
    subprocess.run([*client, "rmi", "--all", "--force"], capture_output=True, check=False)


@contextmanager
def containerd(root: Path) -> Iterator[tuple[list[str], list[str]]]:
    address = f"{root}/containerd.sock"
    (root / "config.toml").write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
    command = [
        *("containerd", "--config", f"{root}/config.toml", "--address", address),
        *("--root", f"{root}/data", "--state", f"{root}/state"),
    ]
    client = ["ctr", "--address", address]
    with daemon(command, lambda: succeeds([*client, "version"]), root / "log"):
        yield [*client, "images", "pull", "--plain-http"], [*client, "run", "--rm"]


Client = Callable[[Path], AbstractContextManager[tuple[list[str], list[str]]]]
CLIENTS: Final[dict[str, Client]] = {"docker": docker, "podman": podman, "containerd": containerd}


def measure(client: Client, image: str, *, named: bool) -> Times | str:
    """One pull and one start with an empty storage, or what the client says when it cannot.

    `named`: the container wants a name after the image.
    """
    folder = Path(tempfile.mkdtemp(prefix="mlbuild-pull-"))
    try:
        with client(folder) as (pull, start):
            pulled = seconds(lambda: run([*pull, image]))
            command = [*start, image, *(["bench"] if named else []), *COMMAND]
            return Times(pulled, seconds(lambda: run(command)))
    except SystemExit as failure:
        return str(failure).strip().splitlines()[-1]
    finally:
        with suppress(OSError):
            shutil.rmtree(folder)


def version(command: str) -> str:
    return subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is repeated (default 3)")
    rounds: int = parser.parse_args().rounds
    present = {name: client for name, client in CLIENTS.items() if shutil.which(name)}
    with tempfile.TemporaryDirectory(prefix="mlbuild-bench-") as name:
        root = Path(name)
        gzip = build(root)
        layouts = {Compression.GZIP: gzip, Compression.ZSTD: recompressed(gzip, root / "zstd", Compression.ZSTD)}
        with registry(root) as host:
            sizes = {compression: push(layout, host, compression) for compression, layout in layouts.items()}
            times: dict[tuple[str, Compression], list[Times | str]] = {}
            for number in range(rounds):
                for who, client in present.items():
                    print(f"round {number + 1} of {rounds}: {who}", file=sys.stderr)
                    for compression in Compression:
                        taken = measure(client, f"{host}/bench:{compression}", named=who == "containerd")
                        times.setdefault((who, compression), []).append(taken)
    print(f"{machine()}; medians of {rounds} rounds; {', '.join(REQUIREMENTS)}")
    for who in present:
        print(version("dockerd" if who == "docker" else who))
    print(f"\n{'':<14}{'layers':<8}{'size':>10}{'pull':>10}{'start':>10}{'both':>10}")
    for (who, compression), each in times.items():
        row = f"{who:<14}{compression:<8}{f'{sizes[compression] / 1e6:.0f} MB':>10}"
        done = [one for one in each if isinstance(one, Times)]
        if done:
            pull, start = (statistics.median(values) for values in zip(*map(astuple, done), strict=True))
            both = statistics.median(one.pull + one.start for one in done)
            print(f"{row}{pull:>8.2f} s{start:>8.2f} s{both:>8.2f} s")
        else:
            print(f"{row}  {each[0]}")


if __name__ == "__main__":
    main()
