from __future__ import annotations

from pathlib import Path

import pytest

from compliance.errors import Unavailable
from compliance.scan.lock import exclusive


def test_a_held_lock_is_waited_for_and_then_given_up(tmp_path: Path) -> None:
    path = tmp_path / "new" / "image.lock"
    with (
        exclusive(path, patience=0),
        pytest.raises(Unavailable, match="has been held by another process") as caught,
        exclusive(path, patience=0.1),
    ):
        pass
    assert caught.value.remedy is not None


def test_a_lock_is_let_go_of_when_its_holder_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), exclusive(tmp_path / "lock", patience=0):
        raise RuntimeError
    with exclusive(tmp_path / "lock", patience=0):
        pass
