"""mlbuild: from a spec to a lock, to deterministic layers, to an image with its evidence."""
