"""Logging in by a provider: who is let in, as what, and everything that is no login."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from gate.store import Store
from tests.gate.identity.oidc_issuer import TestIssuer, running
from tests.gate.pages.conftest import NOW, Site, let_in_by, served
from tests.gate.pages.test_pages import Outline, page

BACK = "/login/with/corp/callback"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from served(tmp_path_factory.mktemp("provider"), 20, [NOW])


@pytest.fixture
def issuer() -> Iterator[TestIssuer]:
    with running() as issuer:
        yield issuer


@pytest.fixture
def site(place: Site, issuer: TestIssuer) -> Site:
    let_in_by(place, issuer)
    place.clock[0] = NOW
    return place


def away(client: httpx.Client, wanted: str = "/images") -> dict[str, str]:
    """What a browser brings to the provider that was sent there."""
    answer = client.get("/login/with/corp", params={"next": wanted})
    assert answer.status_code == 303
    assert "SameSite=lax" in answer.headers["Set-Cookie"]
    assert "HttpOnly" in answer.headers["Set-Cookie"]
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))


def back(site: Site, issuer: TestIssuer, asked: dict[str, str], who: str = "alice", **changed: str) -> str:
    """The address that the provider sends a browser back to."""
    assert asked["redirect_uri"] == f"{site.url}{BACK}"
    address = urlsplit(issuer.allow({**asked, "as": who}))
    query = {**dict(parse_qsl(address.query)), **changed}
    return f"{address.path}?{urlencode({name: value for name, value in query.items() if value})}"


def log_in(site: Site, issuer: TestIssuer, client: httpx.Client, who: str) -> httpx.Response:
    return client.get(back(site, issuer, away(client), who))


def with_cookie(site: Site, address: str, name: str, value: str) -> httpx.Response:
    return httpx.get(f"{site.url}{address}", headers={"Cookie": f"{name}={value}"}, timeout=60)


def refused(answer: httpx.Response) -> str:
    """Why nobody was logged in."""
    assert answer.status_code == 403, answer.text
    assert "mlgate=" not in answer.headers.get("Set-Cookie", "")
    return " ".join(Outline(answer.text).text.split())


def test_people_come_with_the_rights_of_their_groups(site, issuer):
    with site.visitor() as client:
        links = page(client, "/login?next=/waivers").links("/login/with/")
        assert links == ["/login/with/corp?next=%2Fwaivers"]
        answer = log_in(site, issuer, client, "alice")
        (onward,) = [one for _, one in Outline(answer.text).elements if one.get("http-equiv") == "refresh"]
        assert (answer.status_code, onward["content"]) == (200, "0; url=/images")
        assert "SameSite=strict" in answer.headers["Set-Cookie"]
        outline = page(client, "/images")
        assert "alice@example.org" in outline.text
        assert {address.split("/")[2] for address in outline.links("/images/")} > {"fraud"}
        assert "/audit" in outline.links("/")
        assert client.get("/api/images").status_code == 401
        answer = client.post("/logout")
        assert (answer.status_code, answer.headers["Location"]) == (303, "/login")
        assert client.get("/images").status_code == 303


def ended(client: httpx.Client) -> dict[str, str]:
    """What a browser that logs out brings to the provider."""
    answer = client.post("/logout")
    (onward,) = [one for _, one in Outline(answer.text).elements if one.get("http-equiv") == "refresh"]
    address = urlsplit((onward["content"] or "").removeprefix("0; url="))
    assert address.path == "/end"
    return dict(parse_qsl(address.query))


def test_logging_out_ends_the_session_at_the_provider_too(site, issuer):
    issuer.ends_at = f"{issuer.url}/end?tenant=one"
    with site.visitor() as client:
        log_in(site, issuer, client, "alice")
        asked = ended(client)
        assert client.get("/images").status_code == 303
        assert sorted(client.cookies) == ["mlgate-logout"]
        assert (asked["client_id"], asked["tenant"]) == ("mlgate", "one")
        back = issuer.end(asked)
        assert issuer.gone == ["1234"]
        assert back.startswith(f"{site.url}/logout/done?")
        for forged in (f"{site.url}/logout/done", f"{site.url}/logout/done?state=another"):
            assert client.get(forged).headers["Location"] == "/login"
        assert "logged out, here and at your provider" in page(client, back).text
        assert not client.cookies
        assert client.get(back).headers["Location"] == "/login"


def test_a_form_of_another_site_logs_nobody_out(site, issuer):
    issuer.ends_at = f"{issuer.url}/end"
    with site.visitor() as client:
        log_in(site, issuer, client, "alice")
        answer = client.post("/logout", headers={"Origin": "https://evil.example"})
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (403, False)
        assert client.get("/images").status_code == 200


def test_the_session_here_ends_whatever_the_provider_does(site, issuer):
    issuer.ends_at = "http://sso.example/end"  # an ID token does not go there
    with site.visitor() as client:
        log_in(site, issuer, client, "alice")
        assert client.post("/logout").headers["Location"] == "/login"
        assert not client.cookies
        log_in(site, issuer, client, "alice")
        access = site.root / "data" / "access.yaml"
        access.write_text(access.read_text().replace("name: corp", "name: other"))
        assert client.post("/logout").headers["Location"] == "/login"
        assert not client.cookies


def test_a_provider_that_is_away_is_told_to_who_logs_out(site, issuer):
    """This gate has not asked the provider anything yet, as one of several that share the session's key."""
    issuer.down = True
    with closing(Store(site.root / "data" / "gate.db")) as store:
        key = OctKey.import_key(store.secret("pages"))
    begun = int(NOW.timestamp())
    claims = {"aud": "mlgate/pages/person", "sub": "1234", "nbf": begun, "exp": begun + 60, "called": "alice"}
    came_by = {"provider": "corp", "issuer": issuer.url, "client": "mlgate"}
    with site.visitor() as client:
        session = jwt.encode({"alg": "HS256"}, {**claims, **came_by, "claims": {"groups": ["ml-security"]}}, key)
        client.cookies.set("mlgate", session, domain="127.0.0.1", path="/")
        assert client.get("/images").status_code == 200
        answer = client.post("/logout")
        assert "logged out here, but maybe not at your provider: Example SSO does not" in Outline(answer.text).text
        assert not client.cookies


def test_without_a_token_that_fits_the_provider_is_told_the_client_alone(site, issuer):
    issuer.ends_at = f"{issuer.url}/end"
    issuer.people["alice"]["locale"] = "x" * 2048
    with site.visitor() as client:
        log_in(site, issuer, client, "alice")
        assert sorted(ended(client)) == ["client_id", "post_logout_redirect_uri", "state"]


def test_who_came_by_a_password_is_sent_nowhere(site, issuer):
    issuer.ends_at = f"{issuer.url}/end"
    with site.visitor("root") as client:
        assert client.post("/logout").headers["Location"] == "/login"


def test_an_address_counts_where_the_provider_has_verified_it(site, issuer):
    with site.visitor() as client:
        assert log_in(site, issuer, client, "bob").status_code == 200
        links = page(client, "/images").links("/images/")
        assert links
        assert all(link.startswith("/images/fraud/") for link in links)
        assert client.get("/impact").status_code == 404
    with site.visitor() as client:
        assert "you are eve@example.org, to whom nothing is granted" in refused(
            log_in(site, issuer, client, "eve")
        )


def test_a_session_ends_with_its_hours_its_grants_and_its_provider(site, issuer):
    with site.visitor() as client:
        log_in(site, issuer, client, "alice")
        access = site.root / "data" / "access.yaml"
        text = access.read_text()
        for changed in (
            text.replace("ml-security", "others"),
            text.replace("client_id: mlgate", "client_id: another"),
            text.replace("name: corp", "name: other"),
            "{}",
        ):
            access.write_text(changed)
            assert client.get("/images").status_code == 303
        access.write_text(text)
        assert client.get("/images").status_code == 200
        site.clock[0] = NOW + timedelta(hours=2)
        access.write_text(text.replace("    grants:", "    hours: 1\n    grants:"))
        assert client.get("/images").status_code == 303


def test_an_answer_counts_in_the_browser_that_asked_and_once(site, issuer):
    with site.visitor() as client, site.visitor() as other:
        address = back(site, issuer, away(client))
        away(other)
        assert "answer to another login" in refused(other.get(address))
        assert "not begun in this browser" in refused(httpx.get(f"{site.url}{address}", timeout=60))
        kept = client.cookies["mlgate-login"]
        assert client.get(address).status_code == 200
        assert "not begun in this browser" in refused(client.get(address))
        again = with_cookie(site, address, "mlgate-login", kept)
        assert "did not confirm the login: invalid_grant" in refused(again)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"state": "another"}, "answer to another login"),
        ({"state": ""}, "answer to another login"),
        ({"iss": "https://evil.example"}, "answer of another provider"),
        ({"iss": ""}, "answer of another provider"),
        ({"code": "made-up"}, "invalid_grant"),
        ({"code": "", "error": "access_denied<b>"}, "did not log you in: access_denied<b>"),
    ],
)
def test_what_the_browser_brings_back_is_checked(site, issuer, changed, said):
    with site.visitor() as client:
        assert said in refused(client.get(back(site, issuer, away(client), **changed)))


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"nonce": "another"}, "made for another login"),
        ({"nonce": None}, "made for another login"),
        ({"aud": "another"}, "not for the audience"),
        ({"aud": ["mlgate", "another"]}, "not for the audience"),
        ({"azp": "another"}, "made for another client"),
        ({"iss": "https://evil.example"}, "not good now"),
        ({"exp": int(NOW.timestamp()) - 60}, "not good now"),
        ({"sub": None}, "not good now"),
        ({"sub": "x" * 256}, "does not say who"),
        ({"groups": "others", "email": None}, "nothing is granted"),
    ],
)
def test_what_the_provider_says_is_checked(site, issuer, claims, said):
    issuer.changed |= claims
    with site.visitor() as client:
        assert said in refused(log_in(site, issuer, client, "alice"))


def test_a_key_of_another_issuer_signs_nothing(site, issuer):
    with running() as other, site.visitor() as client:
        other.add_key("theirs")
        issuer.keys["theirs"] = other.keys["theirs"]
        issuer.key = "theirs"
        issuer.published = [{**issuer.keys["first"].as_dict(private=False), "kid": "first", "use": "sig"}]
        assert "a key that corp does not have" in refused(log_in(site, issuer, client, "alice"))


def test_a_login_takes_ten_minutes_at_most(site, issuer):
    with site.visitor() as client:
        address = back(site, issuer, away(client))
        site.clock[0] = NOW + timedelta(minutes=11)
        assert "too long ago" in refused(client.get(address))


@pytest.mark.parametrize(
    "elsewhere", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "/\n/"]
)
def test_nobody_is_led_elsewhere(site, issuer, elsewhere):
    with site.visitor() as client:
        answer = client.get(back(site, issuer, away(client, elsewhere)))
        (onward,) = [one for _, one in Outline(answer.text).elements if one.get("http-equiv") == "refresh"]
        assert onward["content"] == "0; url=/"


def test_a_cookie_of_the_way_there_is_no_session_and_the_other_way_round(site, issuer):
    with site.visitor() as client:
        address = back(site, issuer, away(client))
        assert with_cookie(site, "/images", "mlgate", client.cookies["mlgate-login"]).status_code == 303
        client.get(address)
        again = with_cookie(site, address, "mlgate-login", client.cookies["mlgate"])
        assert "not begun in this browser" in refused(again)


def test_a_provider_that_is_away_or_unknown_is_told(site, issuer):
    with site.visitor() as client:
        assert "no such way to log in" in refused(client.get("/login/with/other"))
        issuer.calls_itself = "https://evil.example"
        answer = client.get("/login/with/corp")
        assert answer.status_code == 503
        assert "Example SSO does not answer" in Outline(answer.text).text
