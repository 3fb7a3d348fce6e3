"""A digest is checked when it is made."""

from __future__ import annotations

import copy
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from compliance.errors import InvalidInput
from compliance.oci.digest import Digest

HEX = "0123456789abcdef" * 4


class Pointer(BaseModel):
    digest: Digest


def test_a_digest_is_its_text() -> None:
    digest = Digest("sha256:" + HEX)
    assert digest == "sha256:" + HEX
    assert (digest.algorithm, digest.hex) == ("sha256", HEX)
    assert Digest("sha512:" + HEX * 2).algorithm == "sha512"
    assert copy.deepcopy(digest) == digest


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEX,
        "sha256:",
        "sha256:" + HEX[:-1],
        "sha256:" + HEX + "0",
        "sha256:" + HEX.upper(),
        "SHA256:" + HEX,
        "sha512:" + HEX,
        "md5:" + HEX[:32],
        "sha256:" + HEX + "\n",
        "sha256:" + HEX[:-1] + "٣",
        "sha256:../../etc/passwd",
        " sha256:" + HEX,
    ],
)
def test_other_texts_are_none(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a digest"):
        Digest(text)
    with pytest.raises(ValidationError, match="not a digest"):
        Pointer.model_validate({"digest": text})


def test_a_model_holds_a_digest_and_not_a_text() -> None:
    raw = f'{{"digest":"sha256:{HEX}"}}'
    found = Pointer.model_validate_json(raw)
    assert isinstance(found.digest, Digest)
    assert found.model_dump_json() == raw


@given(st.lists(st.binary()))
def test_the_digest_of_a_stream_is_that_of_its_bytes(chunks: list[bytes]) -> None:
    data = b"".join(chunks)
    assert Digest.of_chunks(chunks) == Digest.of(data) == "sha256:" + hashlib.sha256(data).hexdigest()


@given(st.text())
def test_any_text_is_a_digest_or_invalid_input(text: str) -> None:
    with pytest.raises(InvalidInput):
        Digest(text)
