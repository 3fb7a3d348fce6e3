"""A package from an index that asks for a password: the password reaches nothing that is kept or shown."""

from __future__ import annotations

import pytest

from tests.builder.wheel_index import make_wheel, serve_index

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("examples")]

SECRET = "s3cret-t0ken"


def test_the_password_of_an_index_is_used_and_never_kept(workplace, iris, tmp_path):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    make_wheel(wheels, "house-tools", "1.0")
    project = tmp_path / "project"
    project.mkdir()
    (project / "app.py").write_text("import house_tools\n")
    (project / "mlbuild.yaml").write_text(
        "image: training/house\nbase: python3.11-slim\ndependencies: [house-tools]\n"
        "app: {include: [app.py]}\ncommand: [python, app.py]\n"
    )
    cache = tmp_path / "cache"
    with serve_index(wheels, ("reader", SECRET)) as index:
        settings = workplace.with_settings(UV_DEFAULT_INDEX=index.url_with_login, MLBUILD_CACHE=str(cache))
        done = settings.mlbuild("-C", str(project), "build")
        assert done.returncode == 0, done.stderr
        refused = workplace.with_settings(MLBUILD_CACHE=str(tmp_path / "other")).mlbuild(
            "-C", str(project), "build"
        )
        assert refused.returncode == 3
        assert "401" in refused.stderr
    assert SECRET not in done.stdout + done.stderr
    for place in (project, cache):
        for path in place.rglob("*"):
            assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path
