"""Model files are told by their content, and nothing else is taken for one."""

from __future__ import annotations

import io
import json
import struct
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.models import FORMATS, HEAD, Recognised, detect

DATA = Path(__file__).parent / "data" / "models"


def recognise(data: bytes) -> Recognised | None:
    return detect(data[:HEAD], lambda: io.BytesIO(data), "a-name-that-says-nothing")


def zipped(**members: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/").replace("_DOT_", "."), data)
    return target.getvalue()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("array.joblib", "joblib"),
        ("estimator.joblib", "joblib"),
        ("estimator-xz.joblib", "joblib"),
        ("estimator-zlib.joblib", "joblib"),
        ("estimator.pkl", "pickle"),
        ("lambda.cloudpickle", "cloudpickle"),
        ("objects.npy", "npy"),
        ("objects.npz", "npz"),
        ("lambda.keras", "keras"),
        ("lambda-keras.h5", "keras-h5"),
    ],
)
def test_files_that_can_run_code_are_unsafe(name: str, expected: str) -> None:
    found = recognise((DATA / name).read_bytes())
    assert found is not None
    assert found.format == expected
    assert found.unsafe


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("data.h5", "hdf5"),
        ("dense.weights.h5", "hdf5"),
        ("dense.keras", "keras"),
        ("dense-keras.h5", "keras-h5"),
        ("estimator.skops", "skops"),
        ("floats.npy", "npy"),
        ("floats.npz", "npz"),
        ("lightgbm.txt", "lightgbm"),
        ("relu.onnx", "onnx"),
        ("tiny.gguf", "gguf"),
        ("weights.safetensors", "safetensors"),
        ("weights-metadata.safetensors", "safetensors"),
        ("xgboost.json", "xgboost-json"),
        ("xgboost.ubj", "xgboost-ubj"),
    ],
)
def test_files_that_hold_only_data_are_not(name: str, expected: str) -> None:
    assert recognise((DATA / name).read_bytes()) == Recognised(expected, None)


def test_the_reason_names_what_a_pickle_imports() -> None:
    found = recognise((DATA / "estimator.pkl").read_bytes())
    assert found is not None
    assert found.unsafe is not None
    assert "sklearn.linear_model._logistic.LogisticRegression" in found.unsafe


@pytest.mark.parametrize("prefix", ["", "archive__", "model__"])
def test_pytorch_archives_are_told_by_the_pickle_in_them(prefix: str) -> None:
    data = zipped(
        **{f"{prefix}data_DOT_pkl": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nq\x00.", f"{prefix}version": b"3"}
    )
    found = recognise(data)
    assert found == Recognised("pytorch", "unpickling it imports torch._utils._rebuild_tensor_v2")


def test_a_pytorch_archive_damaged_behind_its_pickle_is_still_one() -> None:
    data = zipped(archive__data_DOT_pkl=b"\x80\x02cos\nsystem\n.", archive__version=b"3")
    found = recognise(data[:-30])
    assert found is not None
    assert found.format == "pytorch"
    assert found.unsafe is not None


def test_torchscript_is_told_from_its_constants() -> None:
    found = recognise(zipped(m__data_DOT_pkl=b"\x80\x02}.", m__constants_DOT_pkl=b"\x80\x02)."))
    assert found is not None
    assert found.format == "torchscript"


def test_the_first_pytorch_format_is_recognised() -> None:
    magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
    version = b"\x80\x02M\xe9\x03."
    found = recognise(magic + version + b"\x80\x02ctorch\nFloatStorage\n." + b"\0" * 64)
    assert found == Recognised("pytorch", "unpickling it imports torch.FloatStorage")


def test_tflite_and_catboost_have_magic_numbers() -> None:
    assert recognise(b"\x1c\0\0\0TFL3" + b"\0" * 40) == Recognised("tflite", None)
    assert recognise(b"CBM1" + b"\0" * 40) == Recognised("catboost", None)


def length_delimited(number: int, data: bytes) -> bytes:
    assert len(data) < 128
    return bytes([number << 3 | 2, len(data)]) + data


def saved_model(operation: bytes) -> bytes:
    node = length_delimited(1, b"node") + length_delimited(2, operation)
    graph = length_delimited(2, length_delimited(1, node))
    return b"\x08\x01" + length_delimited(2, length_delimited(1, b"") + graph)


def test_a_saved_model_is_unsafe_when_its_graph_reaches_out() -> None:
    assert recognise(saved_model(b"MatMul")) == Recognised("tf-savedmodel", None)
    assert recognise(saved_model(b"ReadFile")) == Recognised("tf-savedmodel", "its graph runs ReadFile")


def test_all_formats_are_described() -> None:
    found = {recognise(path.read_bytes()) for path in DATA.iterdir() if path.suffix != ".md"}
    assert {each.format for each in found if each} <= FORMATS.keys()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"N.",
        b"I1\n.",
        b"(lp0\n.",
        b"].\n",
        b"\x80\x04",
        b"\x80\x04\x95 is not a pickle though it begins like one",
        b"cat\ndog\nmouse\n.",
        b"import os\nos.system('ls')\n",
        b"GGUF is a file format.",
        b"tree\nversion=1\n",
        b'{"learner": "a person"}',
        b'{"version": [1, 0], "learner": {"name": "x"}}',
        b"\x08\x01\x12",
        b"PK\x03\x04 and nothing that makes a zip",
        b"\x89HDF",
        b"\x93NUMPY\x01\x00\x10\x00 not a header   ",
        struct.pack("<Q", 20) + b'{"some": {"json": 1}}',
        b"\x78\x9c but not zlib",
        b"\x1f\x8b\x08 but not gzip",
        b"BZh9 but not bzip2",
        json.dumps({"model": {"dtype": "F32"}}).encode(),
        zipped(readme=b"data.pkl is not in here"),
        zipped(a_DOT_npy=b"not an array"),
        zipped(schema_DOT_json=b'{"type": "object"}'),
        zipped(config_DOT_json=b"not json", metadata_DOT_json=b"{}"),
    ],
)
def test_look_alikes_are_not_models(data: bytes) -> None:
    assert recognise(data) is None


def test_no_source_file_of_the_standard_library_is_a_model() -> None:
    root = Path(json.__file__).parent.parent
    sources = [path for path in root.rglob("*.py") if path.stat().st_size < 200_000][:1500]
    assert len(sources) > 100, sys.path
    assert [path for path in sources if recognise(path.read_bytes())] == []


@given(st.binary(max_size=300))
def test_any_bytes_are_a_model_or_not_but_never_an_error(data: bytes) -> None:
    recognise(data)


@given(st.sampled_from(sorted(DATA.iterdir())), st.data())
def test_damaged_models_never_raise(path: Path, data: st.DataObject) -> None:
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    recognise(bytes(raw[: data.draw(st.integers(1, len(raw)))]))


@given(st.text(max_size=400))
def test_text_is_never_unsafe_without_a_call(text: str) -> None:
    found = recognise(text.encode("utf-8", "surrogatepass"))
    assert found is None or found.unsafe is None
