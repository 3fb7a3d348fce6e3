"""Uploaded policies tried out on a gate's evidence: what is told, to whom, and what cannot be uploaded."""

from __future__ import annotations

import asyncio
import io
import tarfile
import time
import zipfile
from collections.abc import AsyncIterator, Iterator, Mapping

import httpx
import pytest

from gate.errors import Fault
from gate.identity.permissions import Role
from gate.identity.users import set_user
from gate.previews.messages import Uploaded
from gate.previews.previews import KEPT_SECONDS, MOST_WAITING, Preview, Previews
from tests.gate.conftest import PASSWORD
from tests.gate.pages.conftest import CRITICAL, NOW, WAIVER, Site, served
from tests.gate.pages.test_pages import Outline, page

pytestmark = pytest.mark.acceptance  # a process for each preview

STRICTER = CRITICAL.replace("[critical]", "[critical, high]")
FRAUD = """\
name: fraud
applies-to: {repositories: ["fraud/**"]}
extends: [serving]
rules:
  - {id: no-high, check: vulnerabilities, with: {severities: [high]}, effect: deny, why: It is., fix: Mend it.}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from served(tmp_path_factory.mktemp("impact"), 120, [NOW], {"serving.yaml": CRITICAL})


@pytest.fixture(scope="module")
def admin(site):
    with site.visitor("root") as client:
        yield client


def upload(client: httpx.Client, *files: tuple[str, bytes | str]) -> httpx.Response:
    return client.post("/impact", files=[("policies", (name, content)) for name, content in files])


def ended(client: httpx.Client, answer: httpx.Response) -> Outline:
    """The page that an upload leads to, once there is nothing to wait for."""
    assert answer.status_code == 303, answer.text
    deadline = time.monotonic() + 120
    while "Look again" in (outline := page(client, answer.headers["Location"])).text:
        assert time.monotonic() < deadline
    return outline


def words(outline: Outline) -> str:
    return " ".join(outline.text.split())


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return raw.getvalue()


def published(site: Site, beginning: str = "") -> set[str]:
    """The addresses of what can be pulled."""
    return {
        f"/images/{repository}@{digest}"
        for number, (repository, digest) in enumerate(site.images)
        if number % 5 and repository.startswith(beginning)
    }


def tarred(files: Mapping[str, str | bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode() if isinstance(content, str) else content))
    return raw.getvalue()


def linked(name: str, target: str) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = tarfile.SYMTYPE, target
        archive.addfile(member)
    return raw.getvalue()


def test_a_stricter_file_is_told_in_words_with_the_images_it_would_refuse(site, admin):
    told = ended(admin, upload(admin, ("serving.yaml", STRICTER)))
    said = words(told)
    assert "96 of 96 images would change verdict, 96 would no longer be let in." in said
    assert "It is Policy Rule What stricter serving no-known " in said
    assert "admitted refused at once not known no-known: CVE-2026-1000 (high)" in said
    assert set(told.links("/images/")) - {"/images"} == published(site)
    assert "serving.yaml" in page(admin, "/impact").text
    assert (site.root / "policies" / "serving.yaml").read_text() == CRITICAL


def test_an_archive_takes_the_place_of_all_policies(site, admin):
    for name, content in (
        ("new.zip", zipped({"repo/policies/fraud.yaml": FRAUD.replace("extends: [serving]\n", "")})),
        (
            "new.tar.gz",
            tarred({"fraud.yaml": FRAUD.replace("extends: [serving]\n", ""), "tests/x.yaml": "no: test"}),
        ),
    ):
        said = words(ended(admin, upload(admin, (name, content))))
        assert "looser serving policy removed" in said
        assert "would change verdict" in said


def test_files_are_added_to_those_in_force_which_they_may_extend(site, admin):
    said = words(ended(admin, upload(admin, ("fraud.yaml", FRAUD))))
    assert "stricter fraud new policy" in said
    assert "no-high" in said
    assert "removed" not in said


def test_a_waiver_is_known_by_what_it_holds(site, admin):
    waiver = WAIVER.replace("rule: not-root", "rule: no-known").replace(
        "key: user", "vulnerability: CVE-2026-1000"
    )
    said = words(ended(admin, upload(admin, ("serving.yaml", STRICTER), ("mine.yaml", waiver))))
    lost = len(published(site)) - len(published(site, "fraud/"))
    assert f"{lost} would no longer be let in" in said.replace(
        f"{len(published(site))} of 96 images would change verdict, ", ""
    )


def test_what_is_announced_is_told_with_its_first_day(site, admin):
    later = STRICTER.replace("effect: deny", "effect: deny\n    enforce-from: 2027-01-15")
    said = words(ended(admin, upload(admin, ("serving.yaml", later))))
    assert "96 would no longer be let in" in said
    assert "refused 2027-01-15" in said


def test_every_bad_file_is_told_with_its_line(site, admin):
    broken = STRICTER.replace("check: vulnerabilities", "check: vulnerability")
    said = words(ended(admin, upload(admin, ("serving.yaml", broken), ("other.yaml", "name: [x]\n"))))
    assert "serving.yaml:4: unknown check 'vulnerability', did you mean 'vulnerabilities'?" in said
    assert "other.yaml:1: " in said


BAD = {
    "up.zip": (lambda: zipped({"../up.yaml": STRICTER}), "is no name for a policy file"),
    "root.zip": (lambda: zipped({"/etc/up.yaml": STRICTER}), "is no name for a policy file"),
    "up.tar.gz": (lambda: tarred({"../up.yaml": STRICTER}), "written elsewhere"),
    "link.tar.gz": (lambda: linked("serving.yaml", "/etc/passwd"), "holds no policy files"),
    "bomb.zip": (lambda: zipped({"a.yaml": b"#" * (65 << 20)}), "unpacks to more than 67,108,864 bytes"),
    "bomb.tar.gz": (lambda: tarred({"a.yaml": b"#" * (65 << 20)}), "unpacks to more than 67,108,864 bytes"),
    "many.zip": (lambda: zipped({f"{number}.yaml": "" for number in range(10_001)}), "more than 10,000 files"),
    "twice.zip": (lambda: zipped({"a.yaml": "", "./a.yaml": ""}), "twice"),
    "two.zip": (lambda: zipped({"a/a.yaml": "", "b/b.yaml": ""}), "could be meant to be a and b"),
    "no.zip": (lambda: b"PK nothing", "cannot be unpacked"),
    "no.tar.gz": (lambda: b"nothing", "damaged"),
    "policy.yml": (lambda: STRICTER, "is no policy file"),
    "../../x.py": (lambda: "import os", "is no policy file"),
    "empty.zip": (lambda: zipped({}), "holds no policy files"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_directory_of_policies_is_refused_and_leaves_nothing(site, admin, name):
    content, said = BAD[name]
    assert said in words(ended(admin, upload(admin, (name, content()))))
    assert not list((site.root / "data" / "tmp" / "previews").iterdir())


def test_uploads_are_bounded_and_are_forms(admin):
    too_large = upload(admin, ("a.yaml", b"#" * (17 << 20)))
    assert (too_large.status_code, "16 MiB" in too_large.text) == (413, True)
    assert admin.post("/impact", data={"policies": "x"}).status_code == 400
    assert upload(admin, ("", b"x")).status_code == 400
    assert upload(admin, *((f"{number}.yaml", "") for number in range(201))).status_code == 400
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert admin.post("/impact", content=b"--x\r\nno", headers=headers).status_code == 400


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_a_form_of_another_site_tries_nothing(admin, headers):
    answer = admin.post("/impact", files=[("policies", ("a.yaml", STRICTER))], headers=headers)
    assert answer.status_code == 403


def test_a_preview_is_its_makers_alone_and_of_what_they_may_review(site, admin):
    set_user(site.root / "users.yaml", "fraud-team", Role.SECURITY, PASSWORD, ("fraud/**",))
    with site.visitor("fraud-team") as client, site.visitor("narrow") as narrow:
        answer = upload(client, ("serving.yaml", STRICTER))
        told = ended(client, answer)
        assert set(told.links("/images/")) == published(site, "fraud/")
        address = answer.headers["Location"]
        assert admin.get(address).status_code == 404
        assert "serving.yaml" not in page(narrow, "/").text
        for refused in (narrow.get("/impact"), narrow.get(address), upload(narrow, ("a.yaml", STRICTER))):
            assert refused.status_code == 404
        assert "/impact" not in page(narrow, "/").links("/")


class Slow:
    """Evidence that never ends."""

    async def count(self) -> int:
        return 9

    async def lines(self) -> AsyncIterator[bytes]:
        await asyncio.sleep(60)
        yield b""


def test_one_at_a_time_for_each_and_few_for_all_and_all_end_with_the_gate(tmp_path):
    (tmp_path / "tmp").mkdir()
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "serving.yaml").write_text(CRITICAL)
    seconds = [0.0]

    async def run() -> None:
        previews = Previews(tmp_path, tmp_path / "policies", lambda: seconds[0])

        def begin(maker: str) -> Preview:
            place = previews.new_place()
            (place / "0").write_text(STRICTER)
            return previews.begin(maker, place, [Uploaded(name="serving.yaml", stored="0")], NOW, Slow())

        async with previews.open():
            first, *others = [begin(f"{number}") for number in range(MOST_WAITING)]
            for maker, status in (("0", 409), ("new", 503)):
                with pytest.raises(Fault) as caught:
                    previews.require_room(maker)
                assert caught.value.status == status
            while first.accepted is None:
                await asyncio.sleep(0.01)
            assert not others[0].begun
            first.stop()
            await first.ended.wait()
            assert "stopped" in first.problems[0].text
            previews.require_room("0")
            assert previews.find(first.id, "0") is first
            assert previews.find(first.id, "1") is None
            seconds[0] += KEPT_SECONDS + 1
            assert previews.find(first.id, "0") is None
        assert all(each.ended.is_set() for each in others)
        assert not list((tmp_path / "tmp" / "previews").iterdir())

    asyncio.run(run())


def test_a_preview_stopped_while_policies_are_copied_leaves_nothing(tmp_path):
    (tmp_path / "tmp").mkdir()
    (tmp_path / "policies").mkdir()
    for number in range(2000):
        (tmp_path / "policies" / f"{number}.yaml").write_text(CRITICAL)

    async def run() -> None:
        async with Previews(tmp_path, tmp_path / "policies").open() as previews:
            preview = previews.begin("0", previews.new_place(), [], NOW, Slow())
            while not any(preview.directory.glob("*/*")):
                await asyncio.sleep(0.001)
            preview.stop()
            await preview.ended.wait()

    asyncio.run(run())  # which waits for all threads
    assert not list((tmp_path / "tmp" / "previews").iterdir())
