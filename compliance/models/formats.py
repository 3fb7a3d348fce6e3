"""Which model format a file is in, told from its content: names lie, and people rename."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import BinaryIO, Final, NamedTuple

from compliance.models import archives, numpys, pickle_machine, pickles, protobufs
from compliance.models.compressed import decompressed

HEAD: Final = 1 << 16
"""How many first bytes of a file `detect` wants; fewer only where the file is shorter."""

SEARCHED: Final = 256 << 20
CHUNK: Final = 1 << 20

Open = Callable[[], BinaryIO]


class Recognised(NamedTuple):
    """A model format, and why loading such a file may run code, or None where it cannot."""

    format: str
    unsafe: str | None


def detect(head: bytes, open_: Open, path: str) -> Recognised | None:  # noqa: ARG001 - names are not believed
    """The format of the file that begins with `head`; None when it holds no model.

    `open_` opens the whole file, seekable. It is called only when the first bytes promise something, so
    that most of an image is never held. Formats, and what `unsafe` says of them, are listed in FORMATS.
    """
    for recognise in _RECOGNISERS:
        found = recognise(head, open_)
        if found is not None:
            return Recognised(*found)
    return None


FORMATS: Final = {
    "pickle": "Python pickle, also compressed",
    "joblib": "joblib dump: a pickle with arrays in it",
    "cloudpickle": "pickle by cloudpickle, with code in it",
    "dill": "pickle by dill, with code in it",
    "pytorch": "PyTorch: pickles, in a zip archive or (before 1.6) in a row",
    "torchscript": "TorchScript archive",
    "skops": "skops archive: scikit-learn without pickle",
    "safetensors": "safetensors",
    "onnx": "ONNX",
    "gguf": "GGUF",
    "keras": "Keras 3 archive",
    "keras-h5": "Keras model or weights in HDF5",
    "hdf5": "HDF5 of another kind",
    "tf-savedmodel": "TensorFlow SavedModel",
    "tflite": "TensorFlow Lite",
    "xgboost-json": "XGBoost in JSON",
    "xgboost-ubj": "XGBoost in UBJSON",
    "lightgbm": "LightGBM text",
    "catboost": "CatBoost binary",
    "npy": "NumPy array",
    "npz": "NumPy arrays in a zip",
}

_Found = tuple[str, str | None] | None

_SAFETENSORS: Final = re.compile(
    rb'\{\s*"(?:__metadata__"\s*:\s*\{|(?:[^"\\]|\\.){0,4096}"\s*:\s*\{\s*"(?:dtype|shape|data_offsets)"\s*:)'
)
_XGBOOST: Final = re.compile(rb'\s*\{\s*(?:"version"\s*:\s*\[[\d,\s]{1,40}\]\s*,\s*)?"learner"\s*:\s*\{')
_XGBOOST_INSIDE: Final = re.compile(rb'"(?:attributes|feature_names|gradient_booster|learner_model_param)"\s*:')
_XGBOOST_UBJ: Final = re.compile(rb"\{(?:L\0{7}|l\0{3}|I\0|[iU])\x07learner\{")
_LIGHTGBM: Final = re.compile(rb"tree\r?\nversion=v\d+\r?\n(?:\w+=.*\r?\n)*?num_class=\d")
_KERAS_H5: Final = re.compile(rb"keras_version|model_config|layer_names|_layer_checkpoint_dependencies")
_LAMBDA_H5: Final = re.compile(rb'"class_name": ?"Lambda"')


def _magic(head: bytes, open_: Open) -> _Found:  # noqa: ARG001 - the table's signature
    if head.startswith(b"GGUF") and len(head) >= 24 and 0 < int.from_bytes(head[4:8], "little") < 100:
        return "gguf", None
    if head[4:8] == b"TFL3":
        return "tflite", None
    if head.startswith(b"CBM1"):
        return "catboost", None
    if head.startswith(numpys.MAGIC):
        return numpys.recognise(head)
    return None


def _safetensors(head: bytes, open_: Open) -> _Found:  # noqa: ARG001
    size = int.from_bytes(head[:8], "little")
    if not 2 <= size <= 100_000_000 or head[8:9] != b"{":
        return None
    is_header = _SAFETENSORS.match(head, 8) or head[8 : 8 + size].strip() == b"{}"
    return ("safetensors", None) if is_header else None


def _boosters(head: bytes, open_: Open) -> _Found:  # noqa: ARG001
    if _XGBOOST.match(head) and _XGBOOST_INSIDE.search(head):
        return "xgboost-json", None
    if _XGBOOST_UBJ.match(head):
        return "xgboost-ubj", None
    if _LIGHTGBM.match(head):
        return "lightgbm", None
    return None


def _hdf5(head: bytes, open_: Open) -> _Found:
    if not head.startswith(b"\x89HDF\r\n\x1a\n"):
        return None
    is_keras = has_lambda = False
    tail = b""
    with open_() as stream:
        for _ in range(SEARCHED // CHUNK):
            data = stream.read(CHUNK)
            if not data:
                break
            is_keras = is_keras or _KERAS_H5.search(tail + data) is not None
            has_lambda = has_lambda or _LAMBDA_H5.search(tail + data) is not None
            tail = data[-64:]
    return ("keras-h5" if is_keras else "hdf5"), archives.LAMBDA_REASON if has_lambda else None


def _zip(head: bytes, open_: Open) -> _Found:
    if not head.startswith(archives.MAGIC):
        return None
    with open_() as stream:
        return archives.recognise(head, stream)


def _protobuf(head: bytes, open_: Open) -> _Found:
    if not protobufs.could_be(head):
        return None
    with open_() as stream:
        return protobufs.recognise(stream)


def _pickle(head: bytes, open_: Open) -> _Found:
    if not pickle_machine.could_be(head):
        return None
    with open_() as stream:
        return pickles.recognise(head, stream)


def _compressed_pickle(head: bytes, open_: Open) -> _Found:
    beginning = decompressed(head, io.BytesIO(head))
    if beginning is None:
        return None
    inner = beginning.read(HEAD)
    if not pickle_machine.could_be(inner):
        return None
    with open_() as stream:
        whole = decompressed(head, stream)
        return pickles.recognise(inner, whole) if whole is not None else None


_RECOGNISERS: Final[tuple[Callable[[bytes, Open], _Found], ...]] = (
    _magic,
    _zip,
    _hdf5,
    _safetensors,
    _boosters,
    _protobuf,
    _pickle,
    _compressed_pickle,
)
