#!/bin/sh
# Builds the gate's image by mlbuild, from this checkout: its wheel unpacked as the project, its lock as the
# requirements. More arguments go to `mlbuild build`. The image is an OCI layout in build/gate-image/.mlbuild.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
work="$root/build/gate-image"
rm -rf "$work" && mkdir -p "$work"
cd "$root"
uv build --quiet --wheel --out-dir "$work/wheel"
python3 -m zipfile --extract "$work"/wheel/mlbuild-*.whl "$work"
rm -rf "$work/wheel" "$work/builder"
# Every package by version and hash, Trivy too, and nothing of the development.
uv export --quiet --frozen --no-dev --group trivy --no-emit-project --output-file "$work/requirements.txt" >/dev/null
cp deploy/image/mlbuild.yaml "$work/"
cd "$work"
mlbuild lock
exec mlbuild build "$@"
