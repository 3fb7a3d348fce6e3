"""Tells the species of an iris from its four measurements, over HTTP."""

import os
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from skops.io import load

# skops loads scikit-learn's own types and nothing else, unless it is listed here by name.
TRUSTED: list[str] = []

model = load(Path(__file__).parent / "model" / "iris.skops", trusted=TRUSTED)

app = FastAPI(title="iris")


class Question(BaseModel):
    """Flowers, each as sepal length, sepal width, petal length and petal width in centimetres."""

    model_config = ConfigDict(extra="forbid")

    features: list[tuple[float, float, float, float]] = Field(min_length=1, max_length=1000)


class Answer(BaseModel):
    species: list[str]


@app.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/predict")
def predict(question: Question) -> Answer:
    return Answer(species=[str(name) for name in model.predict(question.features)])


if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ.get("PORT", "8080")))
