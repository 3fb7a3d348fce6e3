"""Model files and privileged files: recognised by content and mode, and found in the layers of an image."""

from compliance.models.formats import FORMATS, HEAD, Recognised, detect
from compliance.models.layer_files import FoundModel, FoundPrivilege, LayerFiles, LayerMemory
from compliance.models.search import (
    ImageFiles,
    find_models,
    merge,
    merge_privileged,
    read_files,
    read_layer_files,
)

__all__ = [
    "FORMATS",
    "HEAD",
    "FoundModel",
    "FoundPrivilege",
    "ImageFiles",
    "LayerFiles",
    "LayerMemory",
    "Recognised",
    "detect",
    "find_models",
    "merge",
    "merge_privileged",
    "read_files",
    "read_layer_files",
]
