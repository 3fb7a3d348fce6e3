"""The small parts: patterns, licences, versions, canonical JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.errors import InvalidInput
from compliance.evidence import Absent, Database, Subject
from compliance.inventory import Ecosystem
from compliance.oci.digest import Digest
from compliance.policy.canonical import canonical_json, digest_of, from_canonical_json
from compliance.policy.decision import Decision
from compliance.policy.licence import parse_licence
from compliance.policy.pattern import PackagePattern, is_literal_enough, matches
from compliance.policy.versions import largest, same, smallest_above
from compliance.policy.wording import label


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("serving/**", "serving/iris", True),
        ("serving/**", "serving/a/b/c", True),
        ("serving/**", "serving", False),
        ("serving/**", "serving-old/iris", False),
        ("serving/**", "x/serving/iris", False),
        ("serving/*", "serving/a/b", False),
        ("**/iris", "iris", True),
        ("**/iris", "a/b/iris", True),
        ("a/**/z", "a/z", True),
        ("a/**/z", "a/b/c/z", True),
        ("**", "anything/at/all", True),
        ("serving/ir?s", "serving/iris", True),
        ("serving/[ij]ris", "serving/kris", False),
        ("app/*.pkl", "app/x.pkl", True),
        ("*", "a/b", False),
    ],
)
def test_patterns(pattern: str, text: str, fits: bool) -> None:
    assert matches(pattern, text) is fits


def test_a_pattern_of_many_wildcards_is_not_slow() -> None:
    """By backtracking this would not end in a lifetime."""
    assert not matches("/".join(["**", "a*a*a*"] * 20), "/".join(["a" * 20] * 40) + "/b")


@pytest.mark.parametrize(
    ("pattern", "enough"), [("*", False), ("**/*", False), ("?", False), ("[a-z]*", False), ("*.pkl", True)]
)
def test_a_pattern_has_to_name_something(pattern: str, enough: bool) -> None:
    assert is_literal_enough(pattern) is enough


@pytest.mark.parametrize(
    ("pattern", "purl", "covered"),
    [
        ("pillow", "pkg:pypi/pillow@9.4.0", True),
        ("Ruamel.YAML", "pkg:pypi/ruamel-yaml@0.18", True),
        ("pkg:pypi/pillow@9.*", "pkg:pypi/pillow@9.4.0", True),
        ("pkg:pypi/pillow@9.4", "pkg:pypi/pillow@9.4.0", False),
        ("pkg:pypi/pillow", "pkg:npm/pillow@9.4.0", False),
        ("pkg:deb/debian/openssl", "pkg:deb/debian/openssl@3.0?arch=amd64", True),
        ("pkg:deb/ubuntu/openssl", "pkg:deb/debian/openssl@3.0", False),
        ("pillow", "app/pillow", False),
        ("pillow", "pkg:", False),
    ],
)
def test_packages(pattern: str, purl: str, covered: bool) -> None:
    assert PackagePattern.parse(pattern).covers(purl) is covered


@pytest.mark.parametrize(
    "text", ["*", "", "pil*", "pkg:pypi/*", "pkg:*/pillow", "pkg:pypi/", "pkg:", "a/b", "pillow@9"]
)
def test_these_name_no_one_package(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        PackagePattern.parse(text)


@pytest.mark.parametrize(
    ("declared", "spdx"),
    [
        ("MIT", "MIT"),
        ("mit", "MIT"),
        ("MIT License", "MIT"),
        ("The MIT License (MIT)", "MIT"),
        ("BSD License", "BSD-3-Clause"),
        ("BSD 3-Clause", "BSD-3-Clause"),
        ("Apache 2.0", "Apache-2.0"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("License :: OSI Approved :: Apache Software License", "Apache-2.0"),
        ("GPL-3.0", "GPL-3.0-only"),
        ("GPLv3+", "GPL-3.0-or-later"),
        ("GPL v3 or later", "GPL-3.0-or-later"),
        ("GNU General Public License v2 or later (GPLv2+)", "GPL-2.0-or-later"),
        ("Historical Permission Notice and Disclaimer (HPND)", "HPND"),
        ("BSD 3-Clause License\n\nCopyright (c) 2008-2011, AQR", "BSD-3-Clause"),
        ("BSD 3-Clause License\n\nand parts under the GNU General Public License", None),
        ("LicenseRef-Proprietary", "LicenseRef-Proprietary"),
        ("GPL", "GPL-1.0-or-later"),
        ("UNKNOWN", None),
        ("Dual License", None),
        ("Other/Proprietary License", None),
        ("MIT AND", None),
        ("((((", None),
        ("", None),
        (None, None),
        ("MIT " * 1000, None),
    ],
)
def test_licences(declared: str | None, spdx: str | None) -> None:
    found = parse_licence(declared)
    assert (str(found) if found else None) == spdx


@given(st.text(max_size=60))
@settings(deadline=None)
def test_any_text_is_a_licence_or_none(text: str) -> None:
    parse_licence(text)


def test_versions() -> None:
    assert smallest_above("1.26.4", ("2.0.7", "1.26.18"), Ecosystem.PYPI) == "1.26.18"
    assert smallest_above("2.0.4", ("1.26.18", "2.0.7"), Ecosystem.PYPI) == "2.0.7"
    assert smallest_above("3.0", ("1.26.18",), Ecosystem.PYPI) is None
    assert smallest_above("x", ("2", "1"), Ecosystem.OTHER) == "2"
    assert largest(["9.10", "9.9"], Ecosystem.PYPI) == "9.10"
    assert largest(["a", "b"], Ecosystem.OTHER) is None
    assert same("1.0", "1.0.0", Ecosystem.PYPI)
    assert not same("1.0", "1.0.0", Ecosystem.DEBIAN)


def test_labels() -> None:
    assert label("pkg:pypi/pillow@9.4.0") == "pillow 9.4.0"
    assert label("pkg:deb/debian/libssl3@3.0.15-1?arch=amd64") == "libssl3 3.0.15-1"
    assert label("pkg:") == "pkg:"
    assert label("app/model.pkl") == "app/model.pkl"


def test_canonical_json_is_sorted_ascii_in_utc_without_defaults() -> None:
    east = datetime(2026, 11, 22, 9, tzinfo=timezone(timedelta(hours=9)))
    database = Database("é", Digest.of(b""), east)
    assert canonical_json(database) == (
        b'{"digest":"' + Digest.of(b"").encode() + b'","name":"\\u00e9","updated":"2026-11-22T00:00:00+00:00"}'
    )
    assert canonical_json(Absent("gone")) == b'{"reason":"gone"}'
    assert canonical_json(Subject("a", "b")) == b'{"repository":"a","stage":"b"}'


def test_equal_instants_have_equal_digests() -> None:
    west = datetime(2026, 11, 21, 20, tzinfo=timezone(timedelta(hours=-4)))
    here = datetime(2026, 11, 22, tzinfo=UTC)
    assert digest_of((Database("a", Digest.of(b""), west),)) == digest_of((Database("a", Digest.of(b""), here),))


def test_what_has_no_canonical_form_is_an_error() -> None:
    with pytest.raises(TypeError, match="set has no canonical form"):
        canonical_json({1})


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"reason":"a"}', None),
        (b'{ "pending": true, "reason": "a" }', None),
        (b'{"reason":"a","other":1}', "it holds members or forms that none is written with"),
        (b'{"reason":"a","pending":"true"}', "it holds members or forms that none is written with"),
        (b'{"reason":"a","pending":1}', "it holds members or forms that none is written with"),
        (b'{"pending":true}', "reason: Field required"),
        (b"[]", "not a stored absent"),
        (b"{", "not a stored absent"),
        (b"\xff", "not a stored absent"),
        (b"[" * 100_000, "not a stored absent"),
    ],
)
def test_only_what_was_written_is_read_back(raw: bytes, message: str | None) -> None:
    if message is None:
        assert from_canonical_json(raw, Absent).reason == "a"
        return
    with pytest.raises(InvalidInput, match=message):
        from_canonical_json(raw, Absent)


@given(st.binary(max_size=60))
@settings(deadline=None)
def test_any_bytes_are_a_decision_or_invalid_input(raw: bytes) -> None:
    with pytest.raises(InvalidInput):
        from_canonical_json(raw, Decision)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    )
)
@settings(deadline=None)
def test_any_json_is_a_decision_or_invalid_input(data: object) -> None:
    with pytest.raises(InvalidInput):
        from_canonical_json(json.dumps(data).encode(), Decision)
