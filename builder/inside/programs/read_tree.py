"""Reads the files of a working container of buildah's from outside: `list` or `content`, then its name.

`list` writes one JSON array a line for everything in it: path, mode, user, group, size, times of
modification and of change in nanoseconds, target of a link. `content` reads paths with NUL between them from
standard input and writes the bytes of these files, one after the other.

Without root it runs inside `buildah unshare`, where the container can be mounted and its users are seen as
the container sees them.
"""

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator


def listed(folder: bytes, below: bytes = b"") -> Iterator[list[object]]:
    for item in os.scandir(folder):
        path = below + item.name
        state = item.stat(follow_symlinks=False)
        target = os.readlink(item.path) if stat.S_ISLNK(state.st_mode) else b""  # noqa: PTH115 - paths are bytes
        yield [
            os.fsdecode(path),
            state.st_mode,
            state.st_uid,
            state.st_gid,
            state.st_size,
            state.st_mtime_ns,
            state.st_ctime_ns,
            os.fsdecode(target),
        ]
        if stat.S_ISDIR(state.st_mode):
            yield from listed(item.path, path + b"/")


def main() -> None:
    command, name = sys.argv[1:]
    mounted = subprocess.run(["buildah", "mount", name], check=True, stdout=subprocess.PIPE).stdout.strip()
    try:
        if command == "list":
            for row in listed(mounted):
                sys.stdout.write(json.dumps(row) + "\n")
        else:
            for path in filter(None, sys.stdin.buffer.read().split(b"\0")):
                with open(mounted + b"/" + path, "rb") as stream:  # noqa: PTH123 - paths are bytes
                    shutil.copyfileobj(stream, sys.stdout.buffer)
    finally:
        subprocess.run(["buildah", "umount", name], check=True, stdout=subprocess.DEVNULL)


main()
