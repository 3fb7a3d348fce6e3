"""Requirements are changed where they stand, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from builder.fix.conflict import shortened
from builder.fix.requirement_texts import Bound, bounded, with_specifiers, without_requirement

OTHERS = st.sampled_from(
    [
        "# pillow==9.4.0 was fine",
        "numpy==1.24.2  # pillow==9.4.0 needs it",
        "pillow-simd==9.4.0",
        "python-pillow==9.4.0",
        "",
        "-r pillow==9.4.0.txt",
        'other[pillow]==9.4.0 ; python_version < "4"',
    ]
)


@given(
    before=st.lists(OTHERS, max_size=5),
    after=st.lists(OTHERS, max_size=5),
    line=st.sampled_from(
        [
            "pillow{}",
            "  pillow {}",
            "pillow[tests] {}  # why",
            'pillow{} ; python_version >= "3"',
            "pillow {}\t# x",
        ]
    ),
    newline=st.sampled_from(["\n", "\r\n"]),
    known=st.booleans(),
)
def test_only_the_version_changes(
    before: list[str], after: list[str], line: str, newline: str, known: bool
) -> None:
    def text(specifiers: str) -> str:
        return newline.join([*before, line.format(specifiers), *after])

    place = len(before) + 1 if known else None
    extras = "[tests]" if "[tests]" in line else ""
    changed = with_specifiers(text("==9.4.0"), place, Requirement(f"pillow{extras}==9.4.0"), "==10.2.0")
    assert changed == text("==10.2.0")


def test_hashes_of_the_old_version_go() -> None:
    text = "a==1\npillow==9.4.0 \\\n    --hash=sha256:11 \\\n    --hash=sha256:22\nb==1 --hash=sha256:33\n"
    changed = with_specifiers(text, 2, Requirement("pillow==9.4.0"), "==10.2.0")
    assert changed == "a==1\npillow==10.2.0\nb==1 --hash=sha256:33\n"


@pytest.mark.parametrize(
    ("written", "bound", "expected"),
    [
        ("flask", Bound(">=", "2.2.5"), ">=2.2.5"),
        ("flask>=2,<3", Bound(">=", "2.2.5"), ">=2.2.5,<3"),
        ("flask>2.0,!=2.1", Bound(">=", "2.2.5"), ">=2.2.5,!=2.1"),
        ("flask~=2.0", Bound(">=", "2.2.5"), ">=2.2.5,~=2.0"),
        ("flask>=2,<3", Bound("!=", "2.2.5"), ">=2,<3,!=2.2.5"),
    ],
)
def test_a_bound_takes_the_place_of_lower_ones(written: str, bound: Bound, expected: str) -> None:
    assert bounded(Requirement(written), bound) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a==1\ntqdm==4  # bars\nb==1\n", "a==1\nb==1\n"),
        ('x = [\n    "a",\n    "tqdm==4",\n]\n', 'x = [\n    "a",\n]\n'),
        ("dependencies:\n  - a\n  - tqdm==4\n", "dependencies:\n  - a\n"),
        ("a==1\ntqdm==4 \\\n    --hash=sha256:11\nb==1\n", "a==1\nb==1\n"),
        ('dependencies: ["a", "tqdm==4"]\n', None),
    ],
)
def test_a_requirement_goes_with_its_line_or_not_at_all(text: str, expected: str | None) -> None:
    assert without_requirement(text, None, Requirement("tqdm==4")) == expected


@pytest.mark.parametrize(
    "cause",
    [
        "Because all versions of tools depend on kit<2 and you require tools==1.0, we can conclude that you "
        "require kit<2.\n  And because you require kit>=2, we can conclude that your requirements are "
        "unsatisfiable.",
        "Because you require tools==1.0 and all versions of tools depend on kit<2, we can conclude that you "
        "require kit<2.\n  And because you require kit>=2, we can conclude that your requirements are "
        "unsatisfiable.",
        "Because you require kit>=2 and all versions of tools depend on kit<2, we can conclude that all versions "
        "of tools cannot be used.\n  And because you require tools==1.0, we can conclude that your "
        "requirements are unsatisfiable.",
    ],
)
def test_the_same_reasons_are_told_in_the_same_words(cause: str) -> None:
    message = f"the requirements cannot be met:\nerror: No solution found\n  cause: {cause}\n"
    assert shortened(message) == (
        "all versions of tools depend on kit<2, and you require kit>=2, and you require tools==1.0"
    )


def test_a_long_explanation_is_cut() -> None:
    message = (
        "it cannot be:\nerror: No solution\n  cause: Because "
        + "a depends on b and " * 100
        + "so on, we can conclude"
    )
    assert shortened(message).startswith("a depends on b")
    assert len(shortened(message)) == 300
