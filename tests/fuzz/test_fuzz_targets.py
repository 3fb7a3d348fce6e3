"""The fuzz targets over good files with pieces cut out, put twice, or replaced by what readers trip over."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.fuzz.seeds import SEEDS, TESTS
from tests.fuzz.targets import TARGETS

PIECES = [
    *(b"*a", b"&a x", b"<<: {}", b"!!python/object:os.system", b"yes", b"012", b"1e999", b".nan", b"~", b"\t"),
    *(b"\n---\n", b"\n- \n", b"{", b"]", b'"', b"\xff", b"\xef\xbb\xbf", "\u202e".encode(), "\u2028".encode()),
    *(b"\\ud800", b"9" * 400, b"null", b"true", b"deny", b"warn", b"not_affected", b"fixed", b"?", b"%YAML 1.1\n"),
]


@st.composite
def mangled(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A good file with up to three wounds."""
    raw = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(raw)))
        end = min(len(raw), start + draw(st.integers(0, 60)))
        piece = draw(
            st.one_of(
                st.just(b""),
                st.sampled_from(PIECES),
                st.just(raw[start:end] * 2),
                st.just(raw[start:end][::-1]),
                st.binary(max_size=6),
            )
        )
        raw = raw[:start] + piece + raw[end:]
    return raw


def test_every_target_has_seeds_that_are_accepted() -> None:
    assert set(SEEDS) == set(TARGETS)
    for name in ("policy", "waiver"):
        assert all(TARGETS[name](seed) is not None for seed in SEEDS[name])


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_mangled_file_is_refused_or_means_what_it_says(name: str) -> None:
    @settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(mangled(SEEDS[name]) | st.binary(max_size=200))
    def hold(raw: bytes) -> None:
        TARGETS[name](raw)

    hold()


@pytest.mark.parametrize(
    "path", sorted((TESTS / "data" / "refused").rglob("*.yaml")), ids=lambda path: path.parent.name
)
def test_what_is_refused_elsewhere_is_no_surprise_here(path: Path) -> None:
    TARGETS["waiver" if path.parent.name == "waivers" else "policy"](path.read_bytes())
