"""What there is to import in a wheel, told by its files."""

from __future__ import annotations

import pytest

from builder.modules import import_names, module_of, principal_names


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("six.py", "six"),
        ("numpy/__init__.py", "numpy"),
        ("cv2/cv2.abi3.so", "cv2.cv2"),
        ("yaml/_yaml.cpython-311-x86_64-linux-gnu.so", "yaml._yaml"),
        ("black-25.1.0.data/purelib/black/main.py", "black.main"),
        ("tool-1.0.data/scripts/tool.py", None),
        ("demo/data.json", None),
        ("demo/libfoo.so.1", None),
        ("requests-stubs/__init__.pyi", None),
        ("not-a-name/__init__.py", None),
        ("__init__.py", None),
    ],
)
def test_the_module_in_a_file(path: str, name: str | None) -> None:
    assert module_of(path) == name


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["sklearn/__init__.py", "sklearn/svm/__init__.py", "sklearn/x.py"], ("sklearn",)),
        (["yaml/__init__.py", "_yaml/__init__.py"], ("yaml",)),
        (["_cffi_backend.cpython-311-x86_64-linux-gnu.so"], ("_cffi_backend",)),
        (["demo/__init__.py", "tests/__init__.py", "examples/run.py"], ("demo",)),
        (["tests/__init__.py"], ("tests",)),
        (["google/cloud/storage/__init__.py", "google/cloud/_v2/__init__.py"], ("google.cloud.storage",)),
        (["mpl_toolkits/mplot3d/__init__.py", "pylab.py"], ("mpl_toolkits.mplot3d", "pylab")),
        (["share/notes.txt", "demo-1.0.data/scripts/ruff"], ()),
    ],
    ids=["package", "private-beside", "private-alone", "aside", "only-tests", "namespace", "two", "none"],
)
def test_the_names_of_a_wheel(files: list[str], names: tuple[str, ...]) -> None:
    assert import_names(files) == names


@pytest.mark.parametrize(
    ("names", "project", "principal"),
    [
        (("black", "blackd", "blib2to3"), "black", ("black",)),
        (("sklearn",), "scikit-learn", ("sklearn",)),
        (("attr", "attrs"), "attrs", ("attr", "attrs")),
        (("one", "other"), "project", ("one", "other")),
        (("google.cloud.storage",), "google-cloud-storage", ("google.cloud.storage",)),
    ],
)
def test_a_projects_own_modules_are_those_of_its_name(
    names: tuple[str, ...], project: str, principal: tuple[str, ...]
) -> None:
    assert principal_names(names, project) == principal
