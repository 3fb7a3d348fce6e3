"""The JSON API under /api: what was judged, what is in it, and by which rules. It reads, and changes nothing."""
