#!/bin/sh
# Runs the OCI distribution conformance suite against a gate on a registry of its own, in a repository that is only
# audited. Usage: scripts/conformance.sh [PROGRAM [ARGUMENT...]]; without a program, prints the settings and waits.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
mlgate=${MLGATE:-$here/.venv/bin/mlgate}
work=$(mktemp -d)
gate=
finish() {
    [ -z "$gate" ] || { kill "$gate" 2>/dev/null && wait "$gate"; } || true
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

mkdir "$work/policies" "$work/bases" "$work/keys"
cat >"$work/policies/conformance.yaml" <<'POLICY'
name: conformance
mode: audit
applies-to: {repositories: ["conformance/**"]}
rules: []
POLICY
export OCI_USERNAME=conformance
OCI_PASSWORD=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
export OCI_PASSWORD
printf '%s\n' "$OCI_PASSWORD" |
    "$mlgate" user add "$OCI_USERNAME" --role pusher --password-stdin --users "$work/users.yaml" >/dev/null

"$mlgate" serve --listen "${LISTEN:-127.0.0.1:0}" --data "$work/data" --users "$work/users.yaml" \
    --policies "$work/policies" --bases "$work/bases" --trusted-keys "$work/keys" >"$work/log" 2>&1 &
gate=$!
until grep -q 'listening on' "$work/log"; do
    kill -0 "$gate" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
    sleep 0.1
done

OCI_ROOT_URL=$(sed -n 's/.*listening on \(http[^,]*\),.*/\1/p' "$work/log" | head -n 1)
export OCI_ROOT_URL OCI_NAMESPACE=conformance/first OCI_CROSSMOUNT_NAMESPACE=conformance/second
export OCI_TEST_PULL=1 OCI_TEST_PUSH=1 OCI_TEST_CONTENT_DISCOVERY=1 OCI_TEST_CONTENT_MANAGEMENT=1

if [ $# -gt 0 ]; then
    "$@"
else
    env | grep '^OCI_' | sort
    wait "$gate"
fi
