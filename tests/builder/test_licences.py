import pytest
from packaging.metadata import parse_email

from builder.licences import licence_of, recognise

BSD_TEXT = """Copyright (c) somebody.
Redistribution and use in source and binary forms are permitted.
Redistributions in binary form must reproduce the above copyright notice.
"""


def _field(text: str) -> str:
    return "License: " + text.replace("\n", "\n        ")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (["License-Expression: MIT"], "MIT"),
        (["License-Expression: mit or apache-2.0"], "MIT OR Apache-2.0"),
        (["License-Expression: LicenseRef-Ours"], "LicenseRef-Ours"),
        (["License: BSD-3-Clause"], "BSD-3-Clause"),
        (["License: Apache 2.0"], "Apache-2.0"),
        (["License: MIT", "Classifier: License :: OSI Approved :: BSD License"], "MIT"),
        (["Classifier: License :: OSI Approved :: Apache Software License"], "Apache-2.0"),
        (
            [
                "Classifier: License :: OSI Approved :: MIT License",
                "Classifier: License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)",
            ],
            "MIT AND MPL-2.0",
        ),
        (["Classifier: License :: OSI Approved :: BSD License"], "BSD License"),
        (["Classifier: License :: OSI Approved"], None),
        (["License: Ours alone"], "Ours alone"),
        ([_field("Ours alone\nand nobody else's")], "Ours alone"),
        ([_field(BSD_TEXT)], "BSD-2-Clause"),
        ([_field(BSD_TEXT + "Neither the name of somebody may be used.\n")], "BSD-3-Clause"),
        ([_field("Permission is hereby granted, free of charge, to any person, to deal in it.\n")], "MIT"),
        (["License: UNKNOWN"], "UNKNOWN"),
        ([], None),
    ],
)
def test_licence(headers: list[str], expected: str | None) -> None:
    raw = "\n".join(["Metadata-Version: 2.4", "Name: a", "Version: 1", *headers]) + "\n"
    assert licence_of(parse_email(raw)[0]) == expected


MIT_TEXT = "Permission is hereby granted, free of charge, to any person to deal in the Software."


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([MIT_TEXT], "MIT"),
        ([MIT_TEXT, BSD_TEXT], "MIT AND BSD-2-Clause"),
        ([MIT_TEXT, "Ours alone."], None),
        ([MIT_TEXT + "Parts are under the GNU General Public License."], None),
        ([MIT_TEXT + " " * 20_000], None),
        ([], None),
    ],
)
def test_licence_texts(texts: list[str], expected: str | None) -> None:
    assert recognise(texts) == expected
