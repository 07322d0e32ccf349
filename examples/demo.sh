#!/bin/sh
# The whole system at work: a worker with its broker, five requests by alas, and the result of pi by mail.
# Usage: demo.sh BIN, where BIN holds twistd, alas and python.
set -eu
bin=$1
work=$(mktemp -d)
worker=

finish() {
    status=$?
    if [ -n "$worker" ]; then
        kill "$worker" 2>/dev/null || true
        wait "$worker" 2>/dev/null || true
    fi
    [ "$status" -eq 0 ] || { echo "The demo failed; the worker said:" >&2; cat "$work/worker.log" >&2; }
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT
trap 'exit 1' INT TERM

# Waits, at most ten seconds, for a line in the worker's log.
await() {
    for _ in $(seq 100); do
        [ "$(grep -c -- "$1" "$work/worker.log")" -lt "$2" ] || return 0
        kill -0 "$worker" 2>/dev/null || return 1
        sleep 0.1
    done
    echo "waited in vain for: $1" >&2
    return 1
}

port=$("$bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
endpoint=tcp://127.0.0.1:$port
sed "s,tcp://127.0.0.1:9999,$endpoint," alaska.cfg >"$work/alaska.cfg"

echo "== a worker and its broker at $endpoint =="
: >"$work/worker.log" # there to be looked into before the worker has opened it
"$bin/twistd" -n alaska --config "$work/alaska.cfg" >"$work/worker.log" 2>&1 &
worker=$!
await "Alaska worker ready" 1

echo "== five requests =="
for run in 1 2 3 4 5; do
    echo "{\"c\":$run}" | "$bin/alas" -e "$endpoint"
done
await "Context dump from Lua:" 5

echo "== pi, asked for and mailed =="
"$bin/python" examples/read_mailbox.py "$endpoint" aw.res.pi >"$work/pi" &
reader=$!
echo '{}' | "$bin/alas" -e "$endpoint" -s pi
wait "$reader"

echo "== what the worker said =="
cat "$work/worker.log"
echo "== the result of pi =="
cat "$work/pi"
