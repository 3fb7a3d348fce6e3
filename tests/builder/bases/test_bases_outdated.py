"""What is pending for a base, asked of a real signed archive that changes after the base was locked."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from builder.bases.lock import lock_base
from builder.bases.outdated import Update, standings
from builder.cache import Cache
from builder.progress import Quiet
from compliance.bases import read_base
from compliance.errors import InvalidInput
from compliance.evidence import Absent
from tests.builder.bases.signed_archive import SignedArchive, serve_archive

LOCKED = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
TOOLS = ("apt-get", "gpg", "gpgconf")
PACKAGES = ("base-passwd", "ca-certificates", "libc-bin", "python3.11-minimal")

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(
        any(shutil.which(tool) is None for tool in TOOLS),
        reason="apt reads the archive, and gpg signs it",
    ),
]

Publish = Callable[..., None]


@pytest.fixture
def archive() -> Iterator[SignedArchive]:
    with serve_archive() as archive:
        yield archive


@pytest.fixture
def publish(archive: SignedArchive, make_deb: Any, needed: Any) -> Publish:
    """Makes packages, in the version given or 1.0-1, the content of a suite."""

    def publish(suite: str, *names: str, depends: Any = None, **versions: str) -> None:
        wanted = {name.replace("_", "-"): version for name, version in versions.items()}
        debs = [make_deb(name, wanted.get(name, "1.0-1"), files=needed.get(name, {})) for name in names]
        archive.publish(suite, debs, depends)

    return publish


@pytest.fixture
def folder(archive: SignedArchive, publish: Publish, make_recipe: Any, tmp_path: Path) -> Path:
    """A base of four packages, locked when the archive had each as 1.0-1 and nothing for security."""
    publish("stable", *PACKAGES)
    publish("stable-security")
    folder = tmp_path / "bases" / "tiny"
    folder.mkdir(parents=True)
    write_recipe(folder, make_recipe, archive)
    lock_base(folder, Cache(tmp_path / "cache"), Quiet(), now=LOCKED)
    return folder


def write_recipe(folder: Path, make_recipe: Any, archive: SignedArchive, **changes: Any) -> None:
    source = {"mirror": archive.url, "snapshot": "http://127.0.0.1:9", "suites": ["stable", "stable-security"]}
    recipe = make_recipe(
        **{
            "name": folder.name,
            "keyring": str(archive.keyring),
            "packages": PACKAGES,
            "archives": [{"name": "debian", **source}],
            "licences": {"base-passwd": "gpl-2.0-only"},
            **changes,
        }
    )
    text = json.dumps(recipe.model_dump(mode="json", by_alias=True, exclude_none=True), indent=1)
    (folder / "base.yaml").write_text(text)


def pending(folder: Path) -> tuple[Update, ...]:
    (standing,) = standings(read_base(folder), Quiet(), now=LOCKED)
    assert not isinstance(standing.updates, Absent), standing.updates
    return standing.updates


def test_nothing_is_pending_right_after_locking(folder: Path) -> None:
    assert pending(folder) == ()


def test_a_newer_version_in_a_security_suite_is_marked(folder: Path, publish: Publish) -> None:
    publish("stable-security", "libc-bin", libc_bin="1.0-1+deb12u1")
    assert pending(folder) == (Update("libc-bin", "1.0-1", "1.0-1+deb12u1", "debian", security=True),)


def test_a_newer_version_elsewhere_is_no_security_update(folder: Path, publish: Publish) -> None:
    publish("stable", *PACKAGES, libc_bin="1.0-2")
    assert pending(folder) == (Update("libc-bin", "1.0-1", "1.0-2", "debian", security=False),)


def test_a_security_update_stays_one_when_a_point_release_has_overtaken_it(folder: Path, publish: Publish) -> None:
    publish("stable-security", "libc-bin", libc_bin="1.0-1+deb12u1")
    publish("stable", *PACKAGES, libc_bin="1.0-1+deb12u2")
    assert pending(folder) == (Update("libc-bin", "1.0-1", "1.0-1+deb12u2", "debian", security=True),)


def test_a_security_suite_that_has_what_is_locked_or_less_says_nothing(folder: Path, publish: Publish) -> None:
    publish("stable-security", "libc-bin", libc_bin="0.9-1")
    assert pending(folder) == ()


def test_packages_that_would_come_and_go_are_pending(
    folder: Path, publish: Publish, archive: SignedArchive, make_recipe: Any, tmp_path: Path
) -> None:
    publish("stable", *PACKAGES, "libnew", depends={"libc-bin": "libnew (>= 1.0)"})
    new = Update("libnew", None, "1.0-1", "debian", security=False)
    assert pending(folder) == (new,)
    lock_base(folder, Cache(tmp_path / "cache"), Quiet(), now=LOCKED)
    publish("stable", *PACKAGES)
    assert pending(folder) == (Update("libnew", "1.0-1", None, None, security=False),)


def test_locking_after_a_change_that_no_file_shows_keeps_time_and_digest(
    folder: Path, archive: SignedArchive, make_recipe: Any, tmp_path: Path
) -> None:
    (before,) = read_base(folder)
    write_recipe(folder, make_recipe, archive, licences={"base-passwd": "MIT"})
    later = LOCKED + timedelta(days=30)
    (after,) = lock_base(folder, Cache(tmp_path / "cache"), Quiet(), now=later)
    assert (after.digest, after.created) == (before.digest, before.created)
    assert [package.licence for package in after.packages if package.name == "base-passwd"] == ["MIT"]
    write_recipe(folder, make_recipe, archive, environment={"LANG": "C.UTF-8"})
    (changed,) = lock_base(folder, Cache(tmp_path / "cache"), Quiet(), now=later)
    assert changed.digest != before.digest
    assert changed.created == later


def test_a_curated_licence_is_locked_in_the_spelling_of_spdx(folder: Path) -> None:
    (tiny,) = read_base(folder)
    assert [package.licence for package in tiny.packages] == ["GPL-2.0-only", None, None, None]


@pytest.mark.parametrize(
    ("licences", "message"),
    [
        (
            {"libc-bin": "LGPL 2.1 or later"},
            r"base\.yaml:\d+: the licence of libc-bin, .* is not an SPDX expression",
        ),
        ({"libc-bin": "Expat"}, "Unknown license key.*: Expat"),
        ({"libc-bin": ""}, "it is empty"),
        ({"libc-bim": "MIT"}, r"base\.yaml:\d+: a licence is given for libc-bim, .*; did you mean 'libc-bin'\?"),
    ],
)
def test_a_licence_that_is_none_or_nobodys_stops_the_lock(
    folder: Path, archive: SignedArchive, make_recipe: Any, tmp_path: Path, licences: Any, message: str
) -> None:
    written = (folder / "base.lock.toml").read_bytes()
    write_recipe(folder, make_recipe, archive, licences=licences)
    with pytest.raises(InvalidInput, match=message):
        lock_base(folder, Cache(tmp_path / "cache"), Quiet(), now=LOCKED)
    assert (folder / "base.lock.toml").read_bytes() == written


BECOME_NOBODY = """
import os
main(['base', 'list'], standalone_mode=False)  # the last modules are imported: nobody may not see them here
os.setgroups([]), os.setgid(65534), os.setuid(65534)
"""


def run(folder: Path, *arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """`mlbuild base outdated` as a person would run it, over the bases beside `folder`."""
    home = str(folder.parent)
    environment = {**os.environ, "MLBUILD_BASES": home, "HOME": home}
    environment.pop("XDG_CONFIG_HOME", None)
    program = f"from builder.cli import main\n{before}\nmain()"
    command = [sys.executable, "-c", program, "--quiet", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_command_says_what_is_pending_and_by_its_exit_code(folder: Path, publish: Publish) -> None:
    written = (folder / "base.lock.toml").read_bytes()
    done = run(folder, "base", "outdated", "tiny", "--within", "0")
    assert (done.stdout, done.returncode) == ("tiny amd64: current\n", 0), done.stderr
    publish("stable", *PACKAGES, base_passwd="1.0-2")
    assert run(folder, "base", "outdated", "--within", "0", "--security").returncode == 0
    publish("stable-security", "libc-bin", libc_bin="1.0-1+deb12u1")
    done = run(folder, "base", "outdated", "--within", "0", "--security")
    assert (done.stdout.splitlines(), done.returncode) == (
        [
            "tiny amd64: 2 updates pending, 1 for security",
            "  base-passwd  1.0-1 -> 1.0-2  (debian)",
            "  libc-bin     1.0-1 -> 1.0-1+deb12u1  (debian, security)",
            "next: mlbuild base lock tiny",
        ],
        1,
    )
    assert (folder / "base.lock.toml").read_bytes() == written


def test_machines_are_told_the_same(folder: Path, publish: Publish) -> None:
    publish("stable-security", "libc-bin", libc_bin="1.0-1+deb12u1")
    done = run(folder, "--json", "base", "outdated", "--within", "0")
    (base,) = json.loads(done.stdout)["bases"]
    assert done.returncode == 1
    assert (base["name"], base["architecture"], base["unknown"], base["ends_soon"]) == (
        "tiny",
        "amd64",
        None,
        False,
    )
    assert base["updates"] == [
        {
            "package": "libc-bin",
            "locked": "1.0-1",
            "available": "1.0-1+deb12u1",
            "archive": "debian",
            "security": True,
        }
    ]


def test_an_end_of_life_that_is_near_counts_as_pending(
    folder: Path, archive: SignedArchive, make_recipe: Any
) -> None:
    end = date.today() + timedelta(days=30)  # noqa: DTZ011 - the command goes by the same clock
    write_recipe(folder, make_recipe, archive, **{"end-of-life": end.isoformat()})
    done = run(folder, "base", "outdated")
    assert done.returncode == 1
    assert f"tiny amd64: current; end of life in 29 days, on {end}" in done.stdout
    assert run(folder, "base", "outdated", "--within", "7").returncode == 0


def test_an_archive_that_cannot_be_asked_decides_nothing_and_hides_no_other_base(
    folder: Path, publish: Publish, archive: SignedArchive, make_recipe: Any, tmp_path: Path
) -> None:
    other = folder.with_name("other")
    other.mkdir()
    gone = archive.root / "gone"
    gone.symlink_to(archive.root)
    source = {"mirror": f"{archive.url}/gone", "snapshot": f"{archive.url}/gone", "suites": ["stable"]}
    write_recipe(other, make_recipe, archive, archives=[{"name": "debian", **source}])
    lock_base(other, Cache(tmp_path / "cache"), Quiet(), now=LOCKED)
    gone.unlink()
    publish("stable-security", "libc-bin", libc_bin="1.0-1+deb12u1")
    done = run(folder, "base", "outdated", "--within", "0")
    assert done.returncode == 3
    assert done.stdout.startswith("other amd64: unknown, the Debian archives cannot be read: ")
    assert "libc-bin  1.0-1 -> 1.0-1+deb12u1" in done.stdout
    done = run(folder, "--json", "base", "outdated", "other")
    (base,) = json.loads(done.stdout)["bases"]
    assert done.returncode == 3
    assert base["updates"] is None
    assert "cannot be read" in base["unknown"]


@pytest.mark.skipif(os.geteuid() != 0, reason="who is not root already shows that root is not needed")
def test_root_is_not_needed(folder: Path, publish: Publish) -> None:
    publish("stable-security", "libc-bin", libc_bin="1.0-1+deb12u1")
    with tempfile.TemporaryDirectory(prefix="nobody-") as home:
        shutil.copytree(folder.parent, Path(home) / "bases")
        for path in (Path(home), *Path(home).rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        done = run(Path(home) / "bases" / "tiny", "base", "outdated", "--within", "0", before=BECOME_NOBODY)
    assert done.returncode == 1, done.stderr
    assert "tiny amd64: 1 update pending, 1 for security" in done.stdout.splitlines()


def test_a_base_that_is_not_there_is_named(folder: Path) -> None:
    done = run(folder, "base", "outdated", "tinny")
    assert done.returncode == 2
    assert "there is no base 'tinny', did you mean 'tiny'?" in done.stderr
