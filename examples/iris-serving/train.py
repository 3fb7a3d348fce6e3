"""Makes model/iris.skops, the same bytes each time: the data ships with scikit-learn, the solver has no
randomness, and what skops writes of the process's memory and the clock is taken out.

    uv venv --python 3.11 && uv pip sync pylock.toml && .venv/bin/python train.py
"""

import io
import re
import zipfile
from pathlib import Path

from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skops.io import dumps

ADDRESS = re.compile(r'(?<="__id__": )\d+|\d+(?=\.npy")')


def reproducible(model: bytes) -> bytes:
    """The same skops file with objects numbered in order instead of by memory address, and no times."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(model)) as old, zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED) as new:
        schema = old.read("schema.json").decode()
        number = {address: str(index) for index, address in enumerate(dict.fromkeys(ADDRESS.findall(schema)))}
        arrays = [name for name in old.namelist() if name.endswith(".npy")]
        files = {f"{number[name.removesuffix('.npy')]}.npy": name for name in arrays}
        for name in sorted(files):
            new.writestr(zipfile.ZipInfo(name), old.read(files[name]), zipfile.ZIP_DEFLATED)
        renumbered = ADDRESS.sub(lambda match: number[match[0]], schema)
        new.writestr(zipfile.ZipInfo("schema.json"), renumbered, zipfile.ZIP_DEFLATED)
    return result.getvalue()


iris = load_iris()
species = iris.target_names[iris.target]

model = make_pipeline(StandardScaler(), LogisticRegression())
accuracy = cross_val_score(model, iris.data, species, cv=5).mean()
print(f"accuracy, 5-fold: {accuracy:.3f}")

target = Path(__file__).parent / "model" / "iris.skops"
target.parent.mkdir(exist_ok=True)
target.write_bytes(reproducible(dumps(model.fit(iris.data, species))))
print(f"wrote {target}")
