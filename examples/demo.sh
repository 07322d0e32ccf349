#!/bin/sh
# A demonstration: start a worker with an embedded broker, send five requests with alas, and read the result of the
# script pi from a mailbox. Usage: demo.sh BIN, where BIN is the directory of twistd, alas and python.
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
    [ "$status" -eq 0 ] || { echo "The demo failed. Log of the worker:" >&2; cat "$work/worker.log" >&2; }
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT
trap 'exit 1' INT TERM

# Wait up to ten seconds until a line has occurred a number of times in the log of the worker: await LINE NUMBER.
await() {
    for _ in $(seq 100); do
        [ "$(grep -c -- "$1" "$work/worker.log")" -lt "$2" ] || return 0
        kill -0 "$worker" 2>/dev/null || return 1
        sleep 0.1
    done
    echo "timeout: the log does not contain: $1" >&2
    return 1
}

port=$("$bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
endpoint=tcp://127.0.0.1:$port
# Neither alaska.cfg nor contexts and variables of the user: they may name a broker that is in use, or another login.
# shellcheck disable=SC2046  # names of variables
unset $(env | sed -n 's/^\(ALASKA_[A-Z0-9_]*\)=.*/\1/p')
export XDG_CONFIG_HOME="$work"
cat >"$work/alaska.cfg" <<END
worker
    scripts
        dir = "services"
    broker
        endpoint = "$endpoint"
        embedded = "1"
END

echo "== a worker with an embedded broker at $endpoint =="
: >"$work/worker.log" # so that await can read it before the worker opens it
"$bin/twistd" -n alaska --config "$work/alaska.cfg" >"$work/worker.log" 2>&1 &
worker=$!
await "Alaska worker ready" 1

echo "== five requests =="
for run in 1 2 3 4 5; do
    echo "{\"c\":$run}" | "$bin/alas" -e "$endpoint"
done
await "Context dump from Lua:" 5

echo "== a request for pi =="
"$bin/python" examples/read_mailbox.py "$endpoint" aw.res.pi >"$work/pi" &
reader=$!
echo '{}' | "$bin/alas" -e "$endpoint" -s pi
wait "$reader"

echo "== log of the worker =="
cat "$work/worker.log"
echo "== result of pi, from the mailbox aw.res.pi =="
cat "$work/pi"
echo "== what next =="
echo "This system has ended. To start one and use it, in each terminal: . .venv/bin/activate"
echo "Then follow docs/tutorial.md, or 'First steps' in README.md."
