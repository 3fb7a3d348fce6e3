"""Which distribution a well-known module comes from.

Only well-known names are turned into distributions. Any other name may belong to anybody on a package
index, so a person has to confirm it.
"""

from __future__ import annotations

from typing import Final

from packaging.utils import canonicalize_name

_RENAMED: Final = {
    "Bio": "biopython",
    "Crypto": "pycryptodome",
    "IPython": "ipython",
    "Levenshtein": "levenshtein",
    "MySQLdb": "mysqlclient",
    "OpenSSL": "pyOpenSSL",
    "PIL": "Pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "ffmpeg": "ffmpeg-python",
    "fitz": "PyMuPDF",
    "git": "GitPython",
    "imblearn": "imbalanced-learn",
    "jose": "python-jose",
    "jwt": "PyJWT",
    "kafka": "kafka-python",
    "magic": "python-magic",
    "mpl_toolkits": "matplotlib",
    "multipart": "python-multipart",
    "nacl": "PyNaCl",
    "pkg_resources": "setuptools",
    "pptx": "python-pptx",
    "psycopg2": "psycopg2-binary",
    "pywt": "PyWavelets",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "slugify": "python-slugify",
    "umap": "umap-learn",
    "websocket": "websocket-client",
    "yaml": "PyYAML",
    "zmq": "pyzmq",
}

_RENAMED_PARTS: Final = {
    "google.protobuf": "protobuf",
    "google.cloud.bigquery": "google-cloud-bigquery",
    "google.cloud.storage": "google-cloud-storage",
    "azure.identity": "azure-identity",
    "azure.storage.blob": "azure-storage-blob",
    "opentelemetry.sdk": "opentelemetry-sdk",
    "ruamel.yaml": "ruamel.yaml",
}

_SAME_NAME: Final = frozenset(
    {
        "accelerate",
        "aiohttp",
        "altair",
        "anthropic",
        "bentoml",
        "bokeh",
        "boto3",
        "catboost",
        "click",
        "cloudpickle",
        "dask",
        "datasets",
        "diffusers",
        "dill",
        "django",
        "duckdb",
        "einops",
        "evaluate",
        "fastapi",
        "fastparquet",
        "flask",
        "gensim",
        "gradio",
        "h5py",
        "httpx",
        "huggingface_hub",
        "jax",
        "jinja2",
        "joblib",
        "jsonschema",
        "keras",
        "langchain",
        "lightgbm",
        "lightning",
        "litestar",
        "lxml",
        "matplotlib",
        "mlflow",
        "modin",
        "msgpack",
        "networkx",
        "nltk",
        "numba",
        "numpy",
        "onnx",
        "onnxruntime",
        "openai",
        "optuna",
        "orjson",
        "pandas",
        "peft",
        "plotly",
        "polars",
        "prometheus_client",
        "prophet",
        "pyarrow",
        "pydantic",
        "pydantic_settings",
        "pymongo",
        "pyspark",
        "pytorch_lightning",
        "ray",
        "redis",
        "requests",
        "rich",
        "safetensors",
        "scipy",
        "seaborn",
        "sentence_transformers",
        "sentencepiece",
        "shap",
        "skops",
        "spacy",
        "sqlalchemy",
        "starlette",
        "statsmodels",
        "streamlit",
        "sympy",
        "tenacity",
        "tensorboard",
        "tensorflow",
        "tiktoken",
        "timm",
        "tokenizers",
        "torch",
        "torchaudio",
        "torchvision",
        "tqdm",
        "transformers",
        "typer",
        "uvicorn",
        "wandb",
        "websockets",
        "xarray",
        "xgboost",
    }
)


def is_well_known(distribution: str) -> bool:
    """Whether a distribution is one of those that are known here, however its name is spelled."""
    known = {*_SAME_NAME, *_RENAMED.values(), *_RENAMED_PARTS.values()}
    return canonicalize_name(distribution) in {canonicalize_name(name) for name in known}


def distribution_of(module: str) -> str | None:
    """The distribution that a well-known module comes from, or None for one that is not well known."""
    for part, distribution in _RENAMED_PARTS.items():
        if module == part or module.startswith(part + "."):
            return distribution
    top = module.partition(".")[0]
    if top in _RENAMED:
        return _RENAMED[top]
    return top.replace("_", "-") if top.lower() in _SAME_NAME else None
