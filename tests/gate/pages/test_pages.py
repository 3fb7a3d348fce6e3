"""The pages: what is on them, for whom, and that nothing on them is more than text."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.inventory import Ecosystem, Origin, Package
from compliance.oci.digest import Digest
from compliance.policy.decision import Mode, Status, Verdict
from gate.api.models import (
    DecisionPage,
    Finding,
    Findings,
    Image,
    ImageLayer,
    ImageProvenance,
    SignedStatement,
)
from gate.catalogue import Availability
from gate.identity.permissions import Role
from gate.identity.users import set_user
from gate.pages.rendering import render
from gate.store import Store
from tests.examples import examples
from tests.gate.conftest import PASSWORD
from tests.gate.pages.conftest import NOW

PAGES = ("/", "/images", "/decisions", "/packages", "/packages?name=numpy", "/vulnerabilities")
PAGES += ("/vulnerabilities?id=CVE-2026-1000", "/policies", "/waivers", "/audit")
VOID = {"meta", "link", "input", "br", "hr", "img"}


class Outline(HTMLParser):
    """The elements of a page, checked to be closed in order, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, (tag, self.getpos())
        if tag in {"th", "td"}:
            self.text += " "

    def handle_data(self, data):
        self.text += data

    def links(self, beginning: str) -> list[str]:
        found = [attributes.get("href") or "" for tag, attributes in self.elements if tag == "a"]
        return [address for address in found if address.startswith(beginning)]


def page(client, address: str) -> Outline:
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    return Outline(answer.text)


@pytest.fixture(scope="module")
def admin(site):
    with site.visitor("root") as client:
        yield client


@pytest.mark.parametrize("address", PAGES)
def test_every_page_says_what_it_is_and_brings_nothing_that_runs(admin, address):
    answer = admin.get(address)
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    outline = Outline(answer.text)
    tags = [tag for tag, _ in outline.elements]
    assert tags.count("h1") == 1
    assert tags.count("main") == 1
    assert not {"script", "style", "iframe", "object"} & set(tags)
    for tag, attributes in outline.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], (tag, attributes)
    (style,) = [
        attributes["href"] for tag, attributes in outline.elements if attributes.get("rel") == "stylesheet"
    ]
    assert admin.get(style).headers["Content-Type"].startswith("text/css")


def test_the_overview_counts_what_may_be_pulled_and_tells_what_ends(site, admin):
    outline = page(admin, "/")
    words = " ".join(outline.text.split())
    assert "94 pullable" in words
    assert "2 ending" in words
    assert "became known" in words
    assert "waivers/user.yaml: 5 days left" in words
    drawings = [attributes for tag, attributes in outline.elements if tag == "svg"]
    assert re.fullmatch(r"\d+ pushes admitted and \d+ refused in 30 days", drawings[0]["aria-label"])


def test_an_image_says_what_is_wrong_and_whose_that_is(site, admin):
    repository, digest = site.images[0]
    outline = page(admin, f"/images/{repository}@{digest}")
    words = " ".join(outline.text.split())
    assert "Yours to mend (1)" in words
    assert "Of the base (1)" in words
    assert "Take 2.0: mlbuild fix" in words
    assert "built by https://ci.example.com, signed with the key ci.pem" in words
    assert len(outline.links("/packages?name=")) == 6
    assert len(outline.links("/decisions/")) == 2  # the newest, and the history that is it
    kept = admin.get(f"/images/{repository}@{digest}/sbom")
    assert kept.headers["Content-Disposition"].startswith("attachment; ")
    assert len(kept.json()["components"]) >= 6


def test_a_finding_says_in_which_layer_it_is_and_leads_there(site, admin):
    repository, digest = site.images[0]
    image = f"/images/{repository}@{digest}"
    layer = Digest.of(b"1").hex[:12]
    for address, layers in ((image, "#layers"), (f"/decisions/{0:032x}", f"{image}#layers")):
        outline = page(admin, address)
        assert f"In layer {layer}" in outline.text
        assert outline.links(layers) == [layers, layers]  # of the base, and yours
    table = page(admin, image).text.partition("Made by")[2]
    assert layer in table


def test_the_address_that_a_refused_push_names_leads_browsers_to_the_report(site, admin):
    address = f"/api/decisions/{0:032x}"
    to_page = admin.get(address, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (to_page.status_code, to_page.headers["Location"]) == (303, f"/decisions/{0:032x}")
    words = " ".join(page(admin, to_page.headers["Location"]).text.split())
    assert "no-known-high" in words
    assert "High ones are exploited within days." in words
    program = admin.get(address, auth=("root", PASSWORD))
    assert program.json()["verdict"] == "refused"
    assert admin.get(f"/decisions/{0:032x}/report.json").content == program.content


def test_lists_are_left_through_next_until_all_was_seen(site, admin):
    for address, beginning, count in (("/images", "/images/", 120), ("/decisions", "/decisions/", 122)):
        seen: list[str] = []
        at = [address]
        while at:
            outline = page(admin, at[0])
            seen += [each for each in outline.links(beginning) if "?" not in each]
            at = [attributes["href"] for tag, attributes in outline.elements if attributes.get("rel") == "next"]
        assert len(set(seen)) == len(seen) == count


def test_the_audit_log_is_paged_too(admin):
    first = page(admin, "/audit")
    (following,) = [attributes["href"] for tag, attributes in first.elements if attributes.get("rel") == "next"]
    assert page(admin, following).text != first.text


def test_lists_are_narrowed_by_their_forms_where_fields_may_be_empty(admin):
    refused = page(admin, "/images?repository=&verdict=refused&standing=")
    assert "pullable" not in [attributes.get("class") for tag, attributes in refused.elements if tag == "span"]
    assert refused.links("/images/")
    assert not page(admin, "/images?repository=none/such").links("/images/")


def test_what_one_may_not_see_is_not_there(site):
    hidden = next(image for image in site.images if not image[0].startswith("fraud/"))
    number = site.images.index(hidden)
    with site.visitor("narrow") as narrow:
        shown = page(narrow, "/images").links("/images/")
        assert shown
        assert all(address.startswith("/images/fraud/") for address in shown)
        for address in ("/", "/decisions", "/packages?name=numpy", "/waivers"):
            links = page(narrow, address).links("/images/")
            assert all(link.startswith("/images/fraud/") for link in links), address
        for address in (f"/images/{hidden[0]}@{hidden[1]}", f"/decisions/{number:032x}", "/audit"):
            assert narrow.get(address).status_code == 404, address
        assert "/audit" not in page(narrow, "/").links("/")


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/images/none@sha256:" + "0" * 64, 404),
        ("/images/none@sha256:0", 400),
        ("/images?verdict=maybe", 400),
        ("/images?after=!", 400),
        ("/decisions/0", 404),
        ("/decisions/%3Cscript%3E", 404),
        ("/packages?name=%00", 400),
        ("/audit?before=0", 400),
    ],
)
def test_what_cannot_be_answered_is_said_on_a_page(admin, address, status):
    answer = admin.get(address)
    assert answer.status_code == status
    assert "script" not in [tag for tag, _ in Outline(answer.text).elements]


def test_strangers_are_asked_to_log_in_and_come_where_they_wanted(site):
    with site.visitor() as client:
        asked = client.get("/images?verdict=refused")
        assert asked.status_code == 303
        form = Outline(client.get(asked.headers["Location"]).text)
        (wanted,) = [attributes for tag, attributes in form.elements if attributes.get("name") == "next"]
        assert wanted["value"] == "/images?verdict=refused"
        answer = client.post("/login", data={"name": "root", "password": PASSWORD, "next": wanted["value"]})
        assert answer.headers["Location"] == wanted["value"]
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert client.get(wanted["value"]).status_code == 200
        assert client.post("/logout").status_code == 303
        assert client.get("/").status_code == 303


def test_a_session_opens_pages_and_nothing_else(admin):
    assert admin.get("/api/images").status_code == 401
    assert admin.get("/v2/").status_code == 401


def test_a_link_from_elsewhere_goes_on_from_here_where_browsers_send_the_cookie(site):
    with site.visitor() as client:
        answer = client.get("/waivers", headers={"Sec-Fetch-Site": "cross-site"})
    (refresh,) = [one for tag, one in Outline(answer.text).elements if one.get("http-equiv") == "refresh"]
    assert (answer.status_code, refresh["content"]) == (200, "0; url=/waivers")


@pytest.mark.parametrize(
    "elsewhere", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "/\n/"]
)
def test_nobody_is_led_elsewhere_by_logging_in(site, elsewhere):
    with site.visitor() as client:
        answer = client.post("/login", data={"name": "root", "password": PASSWORD, "next": elsewhere})
        assert answer.headers["Location"] == "/"


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_form_of_another_site_logs_nobody_in(site, headers):
    with site.visitor() as client:
        answer = client.post("/login", data={"name": "root", "password": PASSWORD}, headers=headers)
        assert answer.status_code == 403
        assert "Set-Cookie" not in answer.headers


def test_a_wrong_password_is_told_without_a_window_of_the_browser(site):
    with site.visitor() as client:
        answer = client.post("/login", data={"name": "root", "password": "no"})
        assert answer.status_code == 403
        assert "WWW-Authenticate" not in answer.headers
        assert "is wrong" in Outline(answer.text).text


def test_a_session_ends_with_its_password_its_user_and_its_day(site):
    users = site.root / "users.yaml"
    set_user(users, "guest", Role.PULLER, PASSWORD, rounds=4)
    with site.visitor("guest") as client:
        assert client.get("/images").status_code == 200
        site.clock[0] = NOW + timedelta(hours=9)
        assert client.get("/images").status_code == 303
        site.clock[0] = NOW
        assert client.get("/images").status_code == 200
        set_user(users, "guest", Role.PULLER, "another", rounds=4)
        assert client.get("/images").status_code == 303


def test_robots_log_in_until_they_are_revoked(site):
    store = Store(site.root / "data" / "gate.db", lambda: NOW)
    secret = store.robots.create("reader", Role.PULLER, ("fraud/**",), timedelta(days=1), by="test")
    with site.visitor() as client:
        client.post("/login", data={"name": "robot+reader", "password": secret})
        assert client.get("/images").status_code == 200
        store.robots.revoke("reader", by="test")
        assert client.get("/images").status_code == 303
    store.close()


def test_what_is_no_session_of_a_person_opens_nothing(site):
    with site.visitor() as client:
        token = client.get("/token", auth=("root", PASSWORD)).json()["token"]
        answer = client.post("/login", data={"name": "oidc", "password": token})
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (403, False)
    with site.visitor("root") as client:
        session = client.cookies["mlgate"]
    for cookie in (token, session[:-2], session + "A" * 3000, "a.b.c"):
        answer = httpx.get(f"{site.url}/images", headers={"Cookie": f"mlgate={cookie}"}, timeout=60)
        assert answer.status_code == 303


HOSTILE = st.text(min_size=1) | st.sampled_from(
    [
        "<script>alert(1)</script>",
        '" onmouseover="x',
        "'><img src=x onerror=y>",
        "</title>",
        "{{ 7*7 }}",
        "&lt;",
        "]]>",
    ]
)


@settings(max_examples=examples(60), deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE)
def test_no_name_becomes_markup(culprit, message, remedy):
    finding = Finding(
        policy=culprit,
        rule=message,
        status=Status.DENIED,
        culprit=culprit,
        key=culprit,
        aliases=(message,),
        message=message,
        severity=remedy,
        origin=Origin.DEPENDENCY,
        layer="sha256:" + "0" * 64,  # digests are checked when decisions are read
        chain=(culprit, message),
        fixed=remedy,
        remedy=remedy,
        waiver=culprit,
    )
    harmless = finding.model_copy(update=HARMLESS)
    assert shape(finding, message) == shape(harmless, "x")


HARMLESS = dict.fromkeys(("policy", "rule", "culprit", "message", "severity", "remedy", "waiver"), "x")
HARMLESS |= {"aliases": ("x",), "chain": ("x", "x"), "fixed": "y"}


def shape(finding: Finding, word: str) -> list[tuple[str, list[str]]]:
    """The elements and attributes of an image's page that holds these words wherever it has any."""
    digest = "sha256:" + "0" * 64
    image = Image(
        repository="team/one",
        digest=digest,
        tags=(word,),
        kind=None,
        verdict=Verdict.REFUSED,
        mode=Mode.ENFORCE,
        standing=Availability.ABSENT,
        pullable_until=None,
        decided_at=NOW,
        decision="0",
        pushed_by=word,
        line=word,
        base=word,
        packages=1,
        layers=(ImageLayer(digest=digest, diff_id=digest, size=1, origin=None, created_by=word),),
        findings=Findings(base=(finding,), yours=(finding,)),
        provenance=ImageProvenance(builder=word, key=word, lock=word, base=None),
        statements=(SignedStatement(predicate_type=word, digest=digest),),
        unknown={"models": word},
    )
    package = Package(word, word, word, Ecosystem.PYPI, Origin.DEPENDENCY)
    history = DecisionPage(decisions=(), next=None)
    made = render(
        "image.html",
        title=word,
        reader=word,
        audits=False,
        reviews=False,
        image=image,
        packages=[package],
        history=history,
    )
    return [(tag, sorted(attributes)) for tag, attributes in Outline(bytes(made.body).decode()).elements]
