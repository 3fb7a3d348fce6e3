"""Where a project lies in its repository, which is what code hosts count paths from."""

from __future__ import annotations

from pathlib import Path


def path_in_repository(path: Path) -> str:
    """`path` from the root of the git checkout that holds it, `/` between parts; empty for the root itself.

    From the working directory where there is no checkout, and as it is where it does not lie below that.
    """
    whole = path.resolve()
    root = next((one for one in (whole, *whole.parents) if (one / ".git").exists()), Path.cwd())
    if not whole.is_relative_to(root):
        return whole.as_posix()
    below = whole.relative_to(root).as_posix()
    return "" if below == "." else below
