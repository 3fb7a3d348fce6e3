#!/bin/sh
# Make this checkout ready: Debian packages that are missing, .venv with what uv.lock pins, Trivy, a registry.
# Usage: scripts/setup.sh build|demo|test       Safe to run again: it does only what is not done yet.
# `build` is for CI that builds images: as `demo`, without the registry.
set -eu

purpose=${1:-demo}
cd "$(dirname "$0")/.."
say() { printf 'setup: %s\n' "$*"; }
has() { command -v "$1" >/dev/null 2>&1; }

PATH=$PATH:/usr/sbin:/sbin

# What is looked for on PATH, and the Debian package that has it.
wanted="python3:python3 buildah:buildah"
if [ "$purpose" = test ]; then
    wanted="$wanted skopeo:skopeo podman:podman docker:docker.io dockerd:docker.io ctr:containerd apt-get:apt gpg:gpg gpg-agent:gpg-agent pg_ctlcluster:postgresql newuidmap:uidmap docker-compose:docker-compose chromium:chromium kubectl:kubernetes-client shellcheck:shellcheck"
fi
missing=""
for pair in $wanted; do
    has "${pair%%:*}" || case " $missing " in *" ${pair##*:} "*) ;; *) missing="$missing ${pair##*:}" ;; esac
done
python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"
if [ "$(id -u)" -ne 0 ] && ! has newuidmap; then missing="$missing uidmap"; fi

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; elif has sudo; then sudo "$@"; else
        say "administrator rights are needed for: $*"
        say "run that as root, then start again."
        exit 2
    fi
}

if [ -n "$missing" ]; then
    if ! has apt-get; then
        say "this system has no apt. Install these with its own package manager, then start again:"
        say "  Python 3.11 or newer with venv; buildah; CNCF distribution as docker-registry or registry"
        [ "$purpose" = test ] && say "  skopeo; podman; docker with dockerd; containerd with ctr; kubectl; shellcheck"
        say "missing here (by their Debian names):$missing"
        exit 2
    fi
    say "installing Debian packages:$missing"
    as_root apt-get update -qq
    # shellcheck disable=SC2086 # a list of package names
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    say "Python 3.11 or newer is needed, and python3 is $(python3 -V)."
    exit 2
}

if [ ! -x .venv/bin/python ]; then
    say "making .venv"
    python3 -m venv .venv
fi
if ! cmp -s scripts/uv.txt .venv/uv.txt; then
    say "installing uv into .venv, pinned by hash"
    .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r scripts/uv.txt
    cp scripts/uv.txt .venv/uv.txt
fi

groups=""
[ "$purpose" = test ] || groups="--no-default-groups"
case $(command -v trivy || true) in
"" | */.venv/bin/trivy)
    [ -x .venv/bin/trivy ] || say "no trivy on PATH: installing the wheel that uv.lock pins by hash"
    groups="$groups --group trivy"
    ;;
esac
[ -x .venv/bin/mlbuild ] || say "installing what uv.lock pins into .venv"
# shellcheck disable=SC2086 # a list of options
UV_PROJECT_ENVIRONMENT=.venv .venv/bin/uv sync --quiet --frozen --inexact --compile-bytecode $groups

# The registry is taken out of its Debian package rather than installed: installing would start it as a service.
if [ "$purpose" != build ] && ! has docker-registry && ! has registry && [ ! -x .venv/bin/docker-registry ]; then
    if ! has apt-get; then
        say "install CNCF distribution (the program docker-registry or registry) and start again."
        exit 2
    fi
    say "fetching the docker-registry program from its Debian package into .venv/bin"
    here=$(pwd)
    tmp=$(mktemp -d)
    trap 'rm -rf "$tmp"' EXIT
    chmod 755 "$tmp"
    fetch() { (cd "$tmp" && apt-get download -qq docker-registry >/dev/null); }
    # Lists of packages may be missing, or name a version that is there no more.
    fetch 2>/dev/null || { as_root apt-get update -qq && fetch; }
    dpkg-deb -x "$tmp"/docker-registry_*.deb "$tmp"
    cp "$tmp/usr/bin/docker-registry" "$here/.venv/bin/docker-registry"
fi
say "ready ($purpose)"
