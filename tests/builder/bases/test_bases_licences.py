"""Debian's notation of licences turned into SPDX."""

import pytest

from builder.bases.licences import licence_in, spdx

HEADER = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: x\n\n"


@pytest.mark.parametrize(
    ("synopsis", "expression"),
    [
        ("Expat", "MIT"),
        ("GPL-2+", "GPL-2.0-or-later"),
        ("GPL-2", "GPL-2.0-only"),
        ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("GFDL-1.3", "GFDL-1.3-only"),
        ("MPL-1.1 or GPL-2+ or LGPL-2.1+", "MPL-1.1 OR GPL-2.0-or-later OR LGPL-2.1-or-later"),
        ("BSD-3-clause and Zlib", "BSD-3-Clause AND Zlib"),
        ("public-domain", "LicenseRef-public-domain"),
        ("GPL-9", None),
        ("BSD-variant", None),
        ("GPL-2+ with OpenSSL exception", None),
        ("", None),
    ],
)
def test_a_synopsis_becomes_spdx_or_nothing(synopsis: str, expression: str | None) -> None:
    assert spdx(synopsis) == expression


def test_the_licence_is_that_of_everything_not_named_otherwise() -> None:
    text = HEADER + (
        "Files: *\nCopyright: us\nLicense: Apache-2.0\n\n"
        "Files: debian/*\nCopyright: them\nLicense: GPL-2+\n\n"
        "License: Apache-2.0\n text\n"
    )
    assert licence_in(text) == "Apache-2.0"


@pytest.mark.parametrize(
    "text",
    [
        "This package was debianized by somebody.\n\nIt is under the GPL.\n",
        HEADER + "Files: src/*\nCopyright: us\nLicense: Expat\n",
        HEADER,
        "",
    ],
    ids=["prose", "nothing for all files", "header only", "empty"],
)
def test_a_copyright_file_that_does_not_say_gives_none(text: str) -> None:
    assert licence_in(text) is None
