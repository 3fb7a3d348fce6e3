#!/bin/sh
# The main job on real parts: a gate and its registry on this machine, one image admitted, one refused.
set -eu

cd "$(dirname "$0")/.."
here=$(pwd)
work=$here/build/demo
rm -rf "$work"
mkdir -p "$work"

# Everything the demo makes stays in build/demo, apart from mlbuild's download cache.
export MLBUILD_KEY="$work/key.pem" MLBUILD_TRUSTED_KEYS="$work/trusted-keys" DOCKER_CONFIG="$work/docker"

gate_pid="" run_pid=""
stop() {
    [ -z "$run_pid" ] || kill "$run_pid" 2>/dev/null || true
    [ -z "$gate_pid" ] || kill "$gate_pid" 2>/dev/null || true
    wait 2>/dev/null || true
}
trap stop EXIT INT TERM

times=$work/times
began=$(date +%s)
step() {
    now=$(date +%s)
    [ -z "${step_name:-}" ] || printf '%5ss  %s\n' $((now - step_began)) "$step_name" >>"$times"
    step_name=$1 step_began=$now
    [ "$1" = end ] || printf '\n=== %s\n' "$1"
}
shown() {
    printf '$ %s\n' "$*"
    "$@"
}
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
ready() { # URL LOG: wait until it answers, else show what its program said
    python3 - "$1" <<'PY' || { cat "$2" >&2; exit 1; }
import sys, time, urllib.request
for _ in range(600):
    try:
        urllib.request.urlopen(sys.argv[1], timeout=2)
        break
    except OSError:
        time.sleep(0.1)
else:
    sys.exit(f"{sys.argv[1]} does not answer")
PY
}

step "A signing key, and a gate in front of a registry"
shown mlbuild key new
users=$work/users.yaml
echo "push-secret" | mlgate user add ci --role pusher --password-stdin --users "$users"
echo "pull-secret" | mlgate user add cluster --role puller --password-stdin --users "$users"
port=$(free_port)
gate=127.0.0.1:$port
printf '$ mlgate serve --embedded --listen %s &\n' "$gate"
mlgate serve --embedded --listen "$gate" --data "$work/gate" --users "$users" \
    --trusted-keys "$work/trusted-keys" >"$work/gate.log" 2>&1 &
gate_pid=$!
ready "http://$gate/readyz" "$work/gate.log"
echo "push-secret" | mlbuild login "$gate" --username ci --password-stdin

step "iris-serving: lock, check, build, scan, check"
shown mlbuild -C examples/iris-serving

step "iris-serving: push through the gate"
shown mlbuild -C examples/iris-serving push "$gate" | tee "$work/pushed"
reference=$(sed -n 's/^ADMITTED //p' "$work/pushed")

step "iris-serving: pull it back through the gate, run it, ask it"
echo "pull-secret" | mlbuild login "$gate" --username cluster --password-stdin
app_port=$(free_port)
printf '$ mlbuild run --env PORT=%s %s &\n' "$app_port" "$reference"
mlbuild run --env "PORT=$app_port" "$reference" >"$work/run.log" 2>&1 &
run_pid=$!
ready "http://127.0.0.1:$app_port/healthz" "$work/run.log"
printf '$ POST http://127.0.0.1:%s/predict {"features": [[5.1, 3.5, 1.4, 0.2]]}\n' "$app_port"
python3 - "http://127.0.0.1:$app_port/predict" <<'PY'
import sys, urllib.request
request = urllib.request.Request(sys.argv[1], b'{"features": [[5.1, 3.5, 1.4, 0.2]]}', {"Content-Type": "application/json"})
print(urllib.request.urlopen(request, timeout=30).read().decode())
PY
kill "$run_pid"
wait "$run_pid" 2>/dev/null || true
run_pid=""

step "iris-serving: nothing changed"
shown mlbuild -C examples/iris-serving --quiet

step "legacy-notebook: what mlbuild says"
code=0
shown mlbuild -C examples/legacy-notebook || code=$?
[ "$code" -eq 1 ] || { echo "expected a refusal (exit code 1), got $code"; exit 1; }

step "legacy-notebook: pushed all the same, what the gate says"
echo "push-secret" | mlbuild login "$gate" --username ci --password-stdin
shown mlbuild -C examples/legacy-notebook build
code=0
shown mlbuild -C examples/legacy-notebook push "$gate" || code=$?
[ "$code" -eq 1 ] || { echo "expected a refusal (exit code 1), got $code"; exit 1; }

step end
printf '\n=== How long it took\n'
cat "$times"
printf '%5ss  in all, set-up apart\n\n' $(($(date +%s) - began))
sed -n 's/^/ADMITTED /p' <<TXT
$reference
TXT
