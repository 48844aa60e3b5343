#!/usr/bin/env bash
# Trains on this machine's CPU with several processes:
#
#   PROCESSES=2 launch/local.sh [--dry_run] --config=configs/quickstart.py --workdir=runs/quickstart
#
# All arguments except --dry_run go to `python -m mpnet_jax.train`. On a machine with GPUs use launch/gpu.sh. Ctrl-C,
# SIGTERM and SIGUSR1 save and stop. When a process is lost, all are restarted from the last checkpoint.
#
#   PROCESSES  number of processes (2)
#   DEVICES    CPU devices per process (1)
#   PORT       port of the coordinator, process 0 (8476)
#   RESTARTS   number of restarts after lost processes (3)
#   PYTHON     interpreter (.venv/bin/python, else python3)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=say_or_do.sh
. "$root/launch/say_or_do.sh"

PROCESSES=${PROCESSES:-2}
DEVICES=${DEVICES:-1}
PORT=${PORT:-8476}
RESTARTS=${RESTARTS:-3}
if [ -z "${PYTHON:-}" ]; then PYTHON=$root/.venv/bin/python; [ -x "$PYTHON" ] || PYTHON=python3; fi
EXIT_LOST=134 # 128 + SIGABRT: JAX aborts the other processes

take_flags "$@"
require_number PROCESSES 1
require_number DEVICES 1
require_number PORT 1
require_number RESTARTS 0

# Runs all processes once. Prefers the status of a process that failed by itself (2, 1) or was stopped by a signal over
# the status of the processes that JAX aborted for that reason.
together() {
  local index call child each statuses=' '
  children=()
  for ((index = 0; index < PROCESSES; index++)); do
    call=(env JAX_PLATFORMS=cpu "XLA_FLAGS=${XLA_FLAGS:+$XLA_FLAGS }--xla_force_host_platform_device_count=$DEVICES"
      "$PYTHON" -m mpnet_jax.train "${TRAIN_FLAGS[@]}"
      --distributed "--coordinator=127.0.0.1:$PORT" "--process_index=$index" "--process_count=$PROCESSES")
    if [ "$DRY_RUN" = 1 ]; then
      show "${call[@]}"
    else
      "${call[@]}" &
      children+=("$!")
    fi
  done
  for child in "${children[@]}"; do
    each=0
    wait_for "$child" || each=$?
    statuses+="$each "
  done
  for each in 2 1 130 143 138 "$EXIT_LOST" $statuses; do
    if [ "$each" != 0 ] && [[ $statuses = *" $each "* ]]; then return "$each"; fi
  done
}

# Waits for a child and returns its status. A signal makes `wait` return early, so it is repeated.
wait_for() {
  local status=0
  wait "$1" || status=$?
  while kill -0 "$1" 2>/dev/null; do
    status=0
    wait "$1" || status=$?
  done
  return "$status"
}

stopping=0
# shellcheck disable=SC2329 # called by the traps
pass_on() {
  stopping=1
  kill "-$1" "${children[@]}" 2>/dev/null || true
}

cd "$root"
children=()
set -m # each child gets its own process group, so it receives Ctrl-C only from this script
trap 'pass_on INT' INT
trap 'pass_on TERM' TERM
trap 'pass_on USR1' USR1
for ((attempt = 1; ; attempt++)); do
  status=0
  together || status=$?
  if [ "$status" != "$EXIT_LOST" ] || [ "$stopping" = 1 ] || [ "$attempt" -gt "$RESTARTS" ]; then break; fi
  printf 'a process was lost; all start again (%d of %d)\n' "$attempt" "$RESTARTS" >&2
done
exit "$status"
