"""What stands in for a conda package where there is no conda: a wheel, a Debian package, or nothing."""

from __future__ import annotations

from typing import Final

from packaging.utils import canonicalize_name

from builder.distributions import is_well_known

_WHEELS: Final = {
    "arrow-cpp": "pyarrow",
    "dask-core": "dask",
    "faiss": "faiss-cpu",
    "matplotlib-base": "matplotlib",
    "msgpack-python": "msgpack",
    "numpy-base": "numpy",
    "opencv": "opencv-python-headless",
    "py-opencv": "opencv-python-headless",
    "py-xgboost": "xgboost",
    "pytables": "tables",
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "pytorch-gpu": "torch",
    "ray-default": "ray[default]",
    "seaborn-base": "seaborn",
    "tensorflow-base": "tensorflow",
    "tensorflow-gpu": "tensorflow",
}

_DEBIAN: Final = {
    "ffmpeg": "ffmpeg",
    "graphviz": "graphviz",
    "libsndfile": "libsndfile1",
    "poppler": "poppler-utils",
    "sox": "sox",
    "tesseract": "tesseract-ocr",
}

_BROUGHT_ALONG: Final = frozenset(
    {
        *("_libgcc_mutex", "_openmp_mutex", "blas", "bzip2", "ca-certificates", "cpuonly"),
        *("cuda", "cuda-runtime", "cuda-toolkit", "cudatoolkit", "cudnn", "intel-openmp", "ld_impl_linux-64"),
        *("libblas", "libcblas", "libffi", "libgcc-ng", "libgomp", "liblapack", "libopenblas", "libstdcxx-ng"),
        *("mkl", "nccl", "ncurses", "openssl", "pytorch-cuda", "readline", "sqlite", "tk", "tzdata", "xz", "zlib"),
    }
)


def wheel_of(name: str) -> str | None:
    """The distribution on PyPI that a well-known conda package is, or None."""
    if name in _BROUGHT_ALONG or name in _DEBIAN:
        return None
    return _WHEELS.get(name) or (canonicalize_name(name) if is_well_known(name) else None)


def other_advice(name: str) -> str:
    """What to do about a conda package that is no well-known wheel, in words."""
    if name in _BROUGHT_ALONG:
        return "leave it out, since wheels and the base bring what they need of it"
    if name in _DEBIAN:
        return f"list `{_DEBIAN[name]}` under `system` in mlbuild.yaml"
    return "look for its name on PyPI"
