"""The links that update-alternatives would have made."""

import pytest

from builder.layers.tar import symlink
from builder.system.alternatives import Alternative, alternatives, chosen_links

BLAS = """#!/bin/sh
set -e
update-alternatives --install /usr/lib/x86_64-linux-gnu/libblas.so.3 \\
                    libblas.so.3-x86_64-linux-gnu /usr/lib/x86_64-linux-gnu/blas/libblas.so.3 10
exit 0
"""
OFFER = Alternative(
    "usr/lib/x86_64-linux-gnu/libblas.so.3",
    "libblas.so.3-x86_64-linux-gnu",
    "usr/lib/x86_64-linux-gnu/blas/libblas.so.3",
    10,
)


def test_a_call_that_is_written_out_is_understood() -> None:
    assert list(alternatives(BLAS)) == [OFFER]


def test_slaves_go_with_their_master() -> None:
    call = "update-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5 --slave /bin/nawk nawk /usr/bin/mawk"
    script = f'if [ "$1" = configure ]; then\n  {call}\nfi\n'
    assert list(alternatives(script)) == [
        Alternative("usr/bin/awk", "awk", "usr/bin/mawk", 5),
        Alternative("usr/bin/nawk", "nawk", "usr/bin/mawk", 5),
    ]


@pytest.mark.parametrize(
    "script",
    [
        "",
        "echo update-alternatives --install /a b /c 1\n",
        "update-alternatives --remove java /usr/lib/jvm/java\n",
        "update-alternatives --install $link name /usr/lib/file 10\n",
        "update-alternatives --install /usr/lib/link name /usr/$dir/file 10\n",
        "update-alternatives --install /usr/lib/link name /usr/lib/file high\n",
        "update-alternatives --install /usr/lib/../../etc/passwd name /usr/lib/file 10\n",
        "update-alternatives --install /usr/lib/link 'name /usr/lib/file 10\n",
        "update-alternatives --slave /usr/lib/link name /usr/lib/file\n",
    ],
)
def test_any_other_call_is_passed_over(script: str) -> None:
    assert list(alternatives(script)) == []


def test_the_highest_priority_wins_among_files_that_are_there() -> None:
    offers = [
        OFFER,
        Alternative(OFFER.link, OFFER.name, "usr/lib/openblas/libblas.so.3", 100),
        Alternative(OFFER.link, OFFER.name, "usr/lib/mkl/libblas.so.3", 1000),
    ]
    assert chosen_links(offers, [OFFER.path, "usr/lib/openblas/libblas.so.3"]) == [
        symlink(OFFER.link, f"/etc/alternatives/{OFFER.name}"),
        symlink(f"etc/alternatives/{OFFER.name}", "/usr/lib/openblas/libblas.so.3"),
    ]


def test_a_file_is_never_replaced_by_a_link() -> None:
    assert chosen_links([OFFER], [OFFER.path, OFFER.link]) == []


def test_a_name_that_leads_elsewhere_is_passed_over() -> None:
    assert chosen_links([Alternative(OFFER.link, "../passwd", OFFER.path, 1)], [OFFER.path]) == []
