"""Model files a project names: pinned by sha256, each a layer of its own, known to policies and the SBOM."""
