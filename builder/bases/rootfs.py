"""The root file system of a base: the files of its packages, and what their scripts would have made of them.

No maintainer script runs, so each thing that one would have done and that a base needs is a function
here, working on the packages' own data: accounts from base-passwd, the CA bundle from ca-certificates,
the time zone from tzdata, the package database from the control files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import translate
from typing import Final

from builder.errors import BuilderError
from builder.layers.deb import MERGED, STATUS, Deb
from builder.layers.tar import Entry, Kind, directory, of_bytes, symlink
from compliance.base_files import Files, LockedDeb, Recipe

CA_BUNDLE: Final = "etc/ssl/certs/ca-certificates.crt"
NO_LOGIN: Final = "/usr/sbin/nologin"

Tree = dict[str, Entry]


def root_filesystem(recipe: Recipe, packages: Sequence[tuple[LockedDeb, Deb]]) -> list[Entry]:
    """Every entry of the base's layer. Raises BuilderError when the packages do not fit together.

    `packages` are in the lock's order, which decides who names a directory that several bring.
    """
    keeps = Patterns(recipe.files)
    tree = unpacked(packages, lambda _, path: keeps(path))
    originals = {entry.path: entry for _, deb in packages for entry in deb.entries}
    own = [
        *_standard_links(tree),
        *_accounts(recipe, originals),
        *_certificates(tree),
        *_host_configuration(originals),
        *package_database(packages, tree),
        *_python(recipe, packages),
        directory(recipe.working_dir[1:]),
    ]
    for entry in own:
        present = tree.get(entry.path)
        if present is not None and not (present.kind is entry.kind is Kind.DIRECTORY):
            raise BuilderError(f"{entry.path} is made here but a package ships it too")
        tree[entry.path] = entry
    return list(tree.values())


def unpacked(packages: Iterable[tuple[LockedDeb, Deb]], keeps: Callable[[LockedDeb, str], bool]) -> Tree:
    """The files of the packages by path, as far as `keeps` says so of package and path.

    Raises BuilderError when two packages ship the same file, or one ships a file that runs with its
    owner's rights.
    """
    tree: Tree = {}
    owners: dict[str, str] = {}
    emptied: set[str] = set()
    for package, deb in packages:
        for entry in deb.entries:
            if not keeps(package, entry.path):
                emptied.add(entry.path.rpartition("/")[0])
                continue
            present = tree.get(entry.path)
            if present is not None and present.kind is entry.kind is Kind.DIRECTORY:
                continue
            if present is not None:
                raise BuilderError(f"{owners[entry.path]} and {package.name} both ship /{entry.path}")
            if entry.kind is Kind.FILE and entry.mode & 0o7000:
                raise BuilderError(
                    f"/{entry.path} of {package.name} would run with its owner's rights",
                    remedy="Exclude it in the recipe, under files.",
                )
            tree[entry.path] = entry
            owners[entry.path] = package.name
    _prune(tree, emptied)
    return tree


def _prune(tree: Tree, emptied: set[str]) -> None:
    """Drop the directories whose whole content was excluded, and then those that only held such ones."""
    parents = {path.rpartition("/")[0] for path in tree}
    while emptied:
        path = emptied.pop()
        if path not in parents and tree.pop(path, None) is not None:
            parent = path.rpartition("/")[0]
            parents = {path.rpartition("/")[0] for path in tree}
            emptied.add(parent)


class Patterns:
    """dpkg's path-exclude and path-include: what is excluded and not included again stays out."""

    def __init__(self, files: Files) -> None:
        self._exclude = [re.compile(translate(pattern)) for pattern in files.exclude]
        self._include = [re.compile(translate(pattern)) for pattern in files.include]

    def __call__(self, path: str) -> bool:
        excluded = any(pattern.match(path) for pattern in self._exclude)
        return not excluded or any(pattern.match(path) for pattern in self._include)


def _standard_links(tree: Tree) -> Iterator[Entry]:
    """The links of merged /usr, always for bin, lib and sbin, for others where filled; and those of /run."""
    for name in MERGED:
        filled = any(path.startswith(f"usr/{name}/") for path in tree)
        if filled or name in {"bin", "lib", "sbin"}:
            yield symlink(name, f"usr/{name}")
            yield directory(f"usr/{name}")
    yield symlink("var/run", "/run")
    yield symlink("var/lock", "/run/lock")


def _accounts(recipe: Recipe, originals: Mapping[str, Entry]) -> Iterator[Entry]:
    """/etc/passwd and /etc/group as base-passwd lists them, none with a shell or password, and the recipe's user.

    There is no /etc/shadow: `*` in the password field locks each account.
    """
    user = recipe.user
    lines = [line.split(":") for line in _text(originals, "usr/share/base-passwd/passwd.master").splitlines()]
    accounts = [":".join([*fields[:6], NO_LOGIN]) for fields in lines if len(fields) == 7]
    accounts.append(f"{user.name}:*:{user.uid}:{user.gid}:{user.name}:{user.home}:{NO_LOGIN}")
    groups = _text(originals, "usr/share/base-passwd/group.master").splitlines()
    groups.append(f"{user.name}:*:{user.gid}:")
    yield _file("etc/passwd", "\n".join(accounts) + "\n")
    yield _file("etc/group", "\n".join(groups) + "\n")
    yield directory(user.home[1:], 0o700, uid=user.uid, gid=user.gid)


def _certificates(tree: Tree) -> Iterator[Entry]:
    """What update-ca-certificates makes: one bundle, in the order of the file names.

    OpenSSL also gets it under the name it looks for when no environment variable tells it another.
    """
    names = sorted(
        path for path in tree if path.startswith("usr/share/ca-certificates/") and path.endswith(".crt")
    )
    if not names:
        raise BuilderError("no package ships CA certificates", remedy="Add ca-certificates to the recipe.")
    yield _file(CA_BUNDLE, "".join(_text(tree, name).rstrip("\n") + "\n" for name in names))
    yield symlink("usr/lib/ssl/cert.pem", f"/{CA_BUNDLE}")
    yield symlink("usr/lib/ssl/certs", "/etc/ssl/certs")


def _host_configuration(originals: Mapping[str, Entry]) -> Iterator[Entry]:
    yield _file("etc/nsswitch.conf", _text(originals, "usr/share/libc-bin/nsswitch.conf"))
    yield _file("etc/timezone", "Etc/UTC\n")
    yield symlink("etc/localtime", "/usr/share/zoneinfo/Etc/UTC")


def package_database(packages: Sequence[tuple[LockedDeb, Deb]], tree: Tree) -> Iterator[Entry]:
    """One file a package in status.d, and the sums of those of its files that are here.

    Scanners read this directory as they read /var/lib/dpkg/status; nothing in a base writes to either.
    """
    for package, deb in packages:
        first, _, rest = deb.control.strip("\n").partition("\n")
        yield _file(f"{STATUS}/{package.name}", f"{first}\nStatus: install ok installed\n{rest}\n")
        sums = sorted((path, md5) for path, md5 in deb.md5sums.items() if path in tree)
        yield _file(f"{STATUS}/{package.name}.md5sums", "".join(f"{md5}  {path}\n" for path, md5 in sums))


def _python(recipe: Recipe, packages: Sequence[tuple[LockedDeb, Deb]]) -> Iterator[Entry]:
    """/usr/bin/python3, and an empty virtual environment as `python -m venv --without-pip` lays it out."""
    name = f"python{recipe.python}"
    version = next((package.version for package, _ in packages if package.name == f"{name}-minimal"), None)
    if version is None:
        raise BuilderError(f"the base has no {name}-minimal", remedy=f"Add {name} to the recipe's packages.")
    prefix = recipe.prefix[1:]
    settings = {
        "home": "/usr/bin",
        "include-system-site-packages": "false",
        "version": version.partition("-")[0],
        "executable": f"/usr/bin/{name}",
    }
    yield symlink("usr/bin/python3", name)
    yield _file(f"{prefix}/pyvenv.cfg", "".join(f"{key} = {value}\n" for key, value in settings.items()))
    yield symlink(f"{prefix}/bin/{name}", f"/usr/bin/{name}")
    yield symlink(f"{prefix}/bin/python3", name)
    yield symlink(f"{prefix}/bin/python", name)
    yield directory(f"{prefix}/lib/{name}/site-packages")
    yield symlink(f"{prefix}/lib64", "lib")


def _file(path: str, text: str) -> Entry:
    return of_bytes(path, text.encode())


def _text(tree: Mapping[str, Entry], path: str) -> str:
    entry = tree.get(path)
    if entry is None or entry.content is None:
        raise BuilderError(f"no package ships /{path}")
    with entry.content() as stream:
        return stream.read().decode("utf-8")
