"""Recipes and locks of bases: what is read from good ones, and what is said of bad ones."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from compliance.bases import (
    BaseDefinition,
    debian_purl,
    find_architectures,
    find_base,
    read_base,
    read_bases,
    recognise,
    settings_of,
)
from compliance.errors import InvalidInput
from compliance.evidence import Absent
from compliance.inventory import Base, Ecosystem, OperatingSystem, Origin
from compliance.oci.digest import Digest

DATA = Path(__file__).parent / "data" / "bases"
LIBC6 = "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=amd64&distro=debian-12"
LIBCRYPT1 = "pkg:deb/debian/libcrypt1@1:4.4.33-2?arch=amd64&distro=debian-12"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    folder.mkdir()
    for name in ("base.yaml", "base.lock.toml"):
        shutil.copy(DATA / name, folder)
    return folder


@pytest.fixture
def tiny(folder: Path) -> BaseDefinition:
    (tiny,) = read_base(folder)
    return tiny


def test_a_definition_says_what_the_base_is_without_building_it(tiny: BaseDefinition) -> None:
    assert tiny.base == Base(
        name="tiny",
        digest=Digest("sha256:" + "a" * 64),
        diff_ids=(Digest("sha256:" + "c" * 64),),
        owner="Platform team <platform@example.com>",
        end_of_life=datetime(2027, 10, 31, tzinfo=UTC),
        created=datetime(2026, 11, 22, 14, 34, 22, tzinfo=UTC),
    )
    assert (tiny.python, tiny.prefix, tiny.architecture, tiny.size) == ("3.11", "/opt/venv", "amd64", 1000)
    assert tiny.os == OperatingSystem("debian", "12")


def test_the_user_is_numeric_so_that_a_runtime_can_tell_it_is_not_root(tiny: BaseDefinition) -> None:
    assert tiny.settings.user == "65532:65532"
    assert tiny.settings.environment == ("PATH=/opt/venv/bin:/usr/bin", "LANG=C.UTF-8")
    assert tiny.settings.working_dir == "/app"


def test_a_base_for_cuda_tells_the_nvidia_runtime_what_to_give_and_its_recipe_has_the_last_word(
    tiny: BaseDefinition,
) -> None:
    changes = {"cuda": "12.4", "environment": {"NVIDIA_VISIBLE_DEVICES": "none"}}
    recipe = tiny.recipe.model_copy(update=changes)
    assert settings_of(recipe, tiny.created).environment == (
        "NVIDIA_VISIBLE_DEVICES=none",
        "NVIDIA_DRIVER_CAPABILITIES=compute,utility",
        "NVIDIA_REQUIRE_CUDA=cuda>=12.4",
    )
    assert replace(tiny, recipe=recipe).cuda == "12.4"
    assert tiny.cuda is None


def test_the_packages_carry_source_origin_layer_and_dependencies(tiny: BaseDefinition) -> None:
    libc6, libcrypt1 = tiny.packages
    assert libc6.purl == LIBC6
    assert libc6.depends_on == (LIBCRYPT1,)
    assert libc6.licence == "LGPL-2.1-or-later"
    assert libc6.url == "http://mirror.example/debian/pool/main/g/glibc/libc6_2.36-9+deb12u14_amd64.deb"
    assert (libcrypt1.source_name, libcrypt1.source_version) == ("libxcrypt", "1:4.4.33-2")
    assert libcrypt1.licence is None
    assert {(p.ecosystem, p.origin, p.layer) for p in tiny.packages} == {
        (Ecosystem.DEBIAN, Origin.BASE, tiny.image.diff_ids[0])
    }


def test_a_purl_keeps_the_epoch_in_the_version() -> None:
    assert debian_purl("libcrypt1", "1:4.4.33-2", "amd64", OperatingSystem("debian", "12")) == LIBCRYPT1


def test_a_base_is_recognised_by_its_layers_at_the_bottom(tiny: BaseDefinition) -> None:
    above = Digest("sha256:" + "f" * 64)
    assert recognise([*tiny.base.diff_ids, above], [tiny]) == tiny.base
    assert isinstance(recognise([above, *tiny.base.diff_ids], [tiny]), Absent)
    assert isinstance(recognise([], [tiny]), Absent)
    assert isinstance(recognise(tiny.base.diff_ids, []), Absent)


def test_a_base_is_found_by_name_and_architecture(tiny: BaseDefinition) -> None:
    assert find_base([tiny], "tiny", "amd64") is tiny
    assert find_architectures([tiny], "tiny") == (tiny,)
    with pytest.raises(InvalidInput, match="did you mean 'tiny'"):
        find_base([tiny], "tinny", "amd64")
    with pytest.raises(InvalidInput, match="not locked for arm64, only for amd64"):
        find_base([tiny], "tiny", "arm64")


def test_every_folder_with_a_recipe_is_a_base(folder: Path) -> None:
    (folder.parent / "notes").mkdir()
    assert [base.name for base in read_bases(folder.parent)] == ["tiny"]
    with pytest.raises(InvalidInput, match="no such directory of bases"):
        read_bases(folder.parent / "nowhere")


def test_a_base_without_a_lock_says_how_to_lock_it(folder: Path) -> None:
    (folder / "base.lock.toml").unlink()
    with pytest.raises(InvalidInput, match="the base tiny has no lock") as caught:
        read_base(folder)
    assert caught.value.remedy == "Run `mlbuild base lock tiny`."


def test_comments_owner_and_end_of_life_do_not_make_a_lock_stale(folder: Path) -> None:
    recipe = folder / "base.yaml"
    text = recipe.read_text()
    recipe.write_text("# reviewed\n" + text.replace("2027-10-31", "2026-10-31").replace("Platform team", "Nobody"))
    (tiny,) = read_base(folder)
    assert tiny.base.end_of_life == datetime(2026, 10, 31, tzinfo=UTC)


def test_the_shipped_bases_can_be_read() -> None:
    bases = read_bases(Path(__file__).parents[2] / "base-images")
    slim = find_base(bases, "python3.11-slim", "amd64")
    names = {package.name for package in slim.packages}
    assert {"python3.11", "libc6", "libstdc++6", "libgomp1", "libssl3", "ca-certificates", "tzdata"} <= names
    assert not names & {"dash", "bash", "apt", "dpkg", "perl-base", "coreutils"}
    assert all(package.licence for package in slim.packages)


BAD_RECIPES = [
    ("cuda-version-is-a-number", 13, "cuda: is a number, not text: put it in quotes"),
    ("end-of-life-is-no-date", 4, "end-of-life: Input should be a valid date"),
    ("name-is-not-the-directory", 1, "the base is named 'large' but stands in the directory 'tiny'"),
    ("os-version-is-a-number", 5, "os.version: is a number, not text: put it in quotes"),
    ("owner-is-missing", 1, "owner is missing"),
    ("package-is-also-left-out", 22, "libc6 is left out, and in packages too"),
    ("prefix-is-relative", 7, "prefix: must be an absolute path below /"),
    ("python-is-a-number", 6, "python: is a number, not text: put it in quotes"),
    ("two-archives-have-one-name", 20, "two archives are called 'debian'"),
    ("unknown-architecture", 13, "architectures.0: Input should be 'amd64' or 'arm64'"),
    ("unknown-key", 1, "base.yaml:20: unknown key 'package', did you mean 'packages'?"),
    ("user-is-root", 9, "user.uid: Input should be greater than 0"),
]

BAD_LOCKS = [
    ("architecture-is-not-in-the-recipe", 7, "the recipe is for amd64, the lock is not"),
    ("archive-is-unknown", 14, "libc6 is from an unknown archive 'elsewhere'"),
    ("created-is-without-zone", 4, "created: must be a time in UTC, in whole seconds"),
    ("dependency-is-not-locked", 14, "libc6 depends on libselinux1, which is not locked"),
    ("digest-is-short", 11, "images.0.diff-ids.0: not a digest"),
    ("is-empty", 1, "lock-version is missing"),
    ("is-not-toml", 12, "is not valid TOML: Invalid value"),
    ("is-of-a-later-format", 2, "lock-version: Input should be 1"),
    ("is-of-another-recipe", 3, "the lock is of another version of the recipe"),
    ("package-stands-twice", 38, "libcrypt1 stands twice for amd64"),
    ("path-leads-out", 34, "images.0.packages.1.path: must be a relative path without empty, `.` or `..` parts"),
    ("sha256-is-upper-case", 36, "images.0.packages.1.sha256: String should match pattern"),
    ("size-is-a-string", 35, "images.0.packages.1.size: Input should be a valid integer"),
    ("two-images-for-one-architecture", 39, "two images are for amd64"),
    ("unknown-key", 27, "base.lock.toml:32: unknown key 'source-versions', did you mean 'source-version'?"),
    ("version-has-a-blank", 29, "images.0.packages.1.version: String should match pattern"),
]


@pytest.mark.parametrize(("what", "line", "said"), BAD_RECIPES, ids=[case[0] for case in BAD_RECIPES])
def test_a_bad_recipe_is_refused_with_its_line(folder: Path, what: str, line: int, said: str) -> None:
    shutil.copy(DATA / "recipes" / f"{what}.yaml", folder / "base.yaml")
    with pytest.raises(InvalidInput) as caught:
        read_base(folder)
    assert caught.value.at is not None
    assert (caught.value.at.path, caught.value.at.line) == (folder / "base.yaml", line)
    assert said in caught.value.message


@pytest.mark.parametrize(("what", "line", "said"), BAD_LOCKS, ids=[case[0] for case in BAD_LOCKS])
def test_a_bad_lock_is_refused_with_its_line_and_remedy(folder: Path, what: str, line: int, said: str) -> None:
    shutil.copy(DATA / "locks" / f"{what}.toml", folder / "base.lock.toml")
    with pytest.raises(InvalidInput) as caught:
        read_base(folder)
    assert caught.value.at is not None
    assert (caught.value.at.path, caught.value.at.line) == (folder / "base.lock.toml", line)
    assert said in caught.value.message
    assert caught.value.remedy == "Run `mlbuild base lock tiny`."


def test_every_bad_file_is_tried() -> None:
    assert {path.stem for path in (DATA / "recipes").iterdir()} == {case[0] for case in BAD_RECIPES}
    assert {path.stem for path in (DATA / "locks").iterdir()} == {case[0] for case in BAD_LOCKS}
