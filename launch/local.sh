#!/usr/bin/env bash
# Trains on this machine, as several processes that train as one:
#
#   PROCESSES=2 launch/local.sh [--dry_run] --config=configs/quickstart.py --workdir=runs/quickstart
#
# All words but --dry_run go to `python -m mpnet_jax.train`. Every process has one CPU device unless DEVICES says
# otherwise; on a machine with GPUs take launch/gpu.sh. Ctrl-C, SIGTERM and SIGUSR1 save and stop; when a process is
# lost, all are started again from the last checkpoint.
#
#   PROCESSES  how many (2)
#   DEVICES    CPU devices of each (1)
#   PORT       of this machine where they meet (8476)
#   RESTARTS   how often to start again after a loss (3)
#   PYTHON     the interpreter (.venv/bin/python, else python3)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=say_or_do.sh
. "$root/launch/say_or_do.sh"

PROCESSES=${PROCESSES:-2}
DEVICES=${DEVICES:-1}
PORT=${PORT:-8476}
RESTARTS=${RESTARTS:-3}
if [ -z "${PYTHON:-}" ]; then PYTHON=$root/.venv/bin/python; [ -x "$PYTHON" ] || PYTHON=python3; fi
EXIT_LOST=75

take_flags "$@"
require_number PROCESSES 1
require_number DEVICES 1
require_number PORT 1
require_number RESTARTS 0

# Runs all processes once; bad input in one of them, then a loss, tells more than how the others ended.
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
  for each in 2 "$EXIT_LOST" $statuses; do
    if [ "$each" != 0 ] && [[ $statuses = *" $each "* ]]; then return "$each"; fi
  done
}

# `wait` returns early when a signal comes; the child's own status counts.
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
# shellcheck disable=SC2329 # the traps call it
pass_on() {
  stopping=1
  kill "-$1" "${children[@]}" 2>/dev/null || true
}

cd "$root"
children=()
set -m # a process group for each, so that Ctrl-C comes once: from here
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
