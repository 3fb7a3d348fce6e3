"""Model files: recognised by content, and found in the layers of an image."""

from compliance.models.formats import FORMATS, HEAD, Recognised, detect
from compliance.models.search import FoundModel, LayerModels, find_models, find_models_in_layer, merge

__all__ = [
    "FORMATS",
    "HEAD",
    "FoundModel",
    "LayerModels",
    "Recognised",
    "detect",
    "find_models",
    "find_models_in_layer",
    "merge",
]
