"""The runner of pages sees what is wrong with one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.conftest import empty_place
from tests.docs.page import FileBlock, Scene, ShellBlock, UnclearPage, parts
from tests.docs.printed import Values, difference
from tests.docs.reading import UntruePage, read

Try = Callable[..., None]

ONE = "sha256:" + "1" * 64
TWO = "sha256:" + "2" * 64
THREE = "sha256:" + "3" * 64


@pytest.fixture
def reading(tmp_path: Path) -> Try:
    """Reads a page in an empty place."""

    def try_it(*lines: str, left_out: tuple[str, ...] = ()) -> None:
        place = empty_place(tmp_path, tmp_path / "cache", {})
        read("page.md", parts("\n".join(lines)), place, left_out)

    return try_it


def test_a_true_page_is_read_in_one_session_from_an_empty_directory(reading):
    reading(
        *("```console", "$ ls -A", "$ mkdir sub && cd sub && word=kept", "```"),
        *('```yaml title="deep/file.yaml"', "key: value", "```"),
        *("```console", "$ cat deep/file.yaml && echo $word", "key: value", "kept"),
        *("$ cat <<END \\", "  && echo more", "$ no prompt", "END", "… no prompt", "more", "```"),
        *("```sh", "test $word = kept", "echo not compared", "```"),
    )


def test_wrong_output_is_told_with_its_place(reading):
    with pytest.raises(UntruePage, match=r"(?s)page\.md:3: it prints something else.*eleven.*twelve"):
        reading("# Title", "```console", "$ echo twelve", "eleven", "```")


@pytest.mark.parametrize(
    ("shown", "printed"), [("", "more"), ("one\ntwo", "one"), ("one", "one\ntwo"), ("", "\na")]
)
def test_output_that_is_missing_or_too_much_is_wrong(shown, printed):
    assert difference(shown, printed, Values()) is not None


@pytest.mark.parametrize(("command", "exit_code"), [("false", ""), ("true", " exit=1"), ("(exit 3)", " exit=2")])
def test_a_wrong_exit_code_is_told(reading, command, exit_code):
    with pytest.raises(UntruePage, match="exit code"):
        reading(f"```console{exit_code}", f"$ {command}", "```")


def test_the_exit_code_is_that_of_the_last_command(reading):
    reading("```console exit=4", "$ true", "$ (exit 4)", "```")


def test_a_script_must_succeed(reading):
    with pytest.raises(UntruePage, match="exit code 1"):
        reading("```sh", "true", "false", "```")


def test_a_scene_that_cannot_be_set_is_told(reading):
    with pytest.raises(UntruePage, match=r"page\.md:1: cp a b"):
        reading("<!-- run: cp a b -->")


def test_a_scene_sets_what_follows(reading):
    reading("<!-- run: cat >file <<END", "hidden", "END", "-->", "```console", "$ cat file", "hidden", "```")


def test_a_block_can_be_left_out_and_the_others_are_read(reading):
    with pytest.raises(UntruePage, match="false"):
        reading("```console", "$ exit 9", "```", "```console", "$ false", "```", left_out=("$ exit 9",))


def test_a_command_that_ends_the_shell_is_told(reading):
    with pytest.raises(AssertionError, match="ended the shell"):
        reading("```console", "$ exit 0", "```")


def test_what_runs_in_the_background_is_waited_for_and_ends_with_the_page(reading, tmp_path):
    reading(
        *("```console", "$ (sleep 0.3; echo up; sleep 60) &", "up", "$ echo $! >pid", "```"),
    )
    pid = (tmp_path / "home" / "code" / "pid").read_text().strip()
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("first\n...\nlast", "first\nlast"),
        ("first\n...\nlast", "first\nsecond\nlast\nthird\nlast"),
        ("...\nlast", "first\nlast"),
        ("first\n...", "first\nsecond"),
        ("one … three", "one two three"),
        ("a  b", "a     b"),
        (f"at {ONE} in 3 s, 2026-11-22", f"at {TWO} in 12.5 s, 2027-01-01"),
        ("· Downloading 25 files, 67 MB\ndone", "done"),
        ("· judging the lock: 25 packages", "· judging the lock: 26 packages"),
        ("done", "· judging the lock: 25 packages\ndone"),
    ],
)
def test_what_varies_or_is_elided_may_differ(shown, printed):
    assert difference(shown, printed, Values()) is None


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("first\n...\nlast", "first\nsecond"),
        ("first\n...\nlast", "second\nlast"),
        ("one …", "two"),
        (f"at {ONE}", "at sha256:short"),
        ("in 3 s", "in 3 files"),
        ("· judging the lock", ""),
        ("..", "dots"),
    ],
)
def test_what_is_elided_hides_nothing_else(shown, printed):
    assert difference(shown, printed, Values()) is not None


def test_a_digest_that_is_shown_again_is_the_same_again():
    values = Values()
    assert difference(f"{ONE}\n{TWO}", f"{TWO}\n{THREE}", values) is None
    assert difference(ONE, TWO, values) is None
    assert difference(ONE, THREE, values) is not None
    assert difference("sha256:" + "4" * 64, TWO, values) is not None, "two digests of the page are one here"


def test_a_digest_is_typed_as_it_was_printed(reading):
    reading(
        *("```console", f"$ echo {ONE} | tr 1 3", "sha256:" + "a" * 64),
        *("$ echo sha256:" + "a" * 64 + " | tr 3 4", "sha256:" + "b" * 64, "```"),
    )


@pytest.mark.parametrize("text", ["```console\n$ true\n", "<!-- run: true\n"])
def test_a_page_that_goes_on_for_ever_is_told(text):
    with pytest.raises(UnclearPage, match="no end"):
        list(parts(text))


def test_the_parts_of_a_page_are_found_also_in_lists_and_by_longer_fences():
    found = list(
        parts(
            "1. First\n\n    ```console exit=1\n    $ one \\\n      two\n    out\n    ```\n"
            "````text\n```console\n$ not a command\n```\n````\n"
            '```python\nshown\n```\n```python title="a.py" hl_lines="1"\nwritten\n```\n'
            "<!-- a comment -->\n<!-- run: three -->\n```console\nonly output\n```\n"
        )
    )
    block, file, scene, empty = found
    assert isinstance(block, ShellBlock)
    assert [(one.line, one.typed, one.shown, one.exit_code) for one in block.commands] == [
        (4, "one \\\n  two", "out", 1)
    ]
    assert file == FileBlock(16, "a.py", "written\n")
    assert scene == Scene(20, "three")
    assert isinstance(empty, ShellBlock)
    assert empty.commands == ()
