#!/usr/bin/env bash
# Trains on a Cloud TPU, one host or many, by `gcloud compute tpus tpu-vm`:
#
#   NAME=mpnet ZONE=us-central1-a TYPE=v5litepod-16 SHARE=10.0.0.2:/share \
#     launch/tpu_vm.sh [--dry_run] STEP [flags of the training command]
#
#   STEP create   makes the TPU and waits for it (a queued resource where QUEUED=1)
#        install  copies the committed state of this checkout to all workers, installs it, mounts SHARE
#        run      trains on all workers; where the TPU was preempted: creates, installs and runs again
#        stop     asks all workers to save and stop
#        fetch    copies WORKDIR of the first worker to runs/
#        delete   deletes the TPU
#        all      create, install, run, and when the training has come to its end fetch and delete
#
# The training goes on when the connection breaks, and after Ctrl-C; `run` follows it again, `stop` ends it.
#
#   NAME      of the TPU (required)
#   ZONE      where (required)
#   TYPE      accelerator type (v5litepod-16)
#   VERSION   software of the workers (v2-alpha-tpuv5-lite)
#   SPOT      1: cheaper, may be preempted (0)
#   QUEUED    1: wait in the queue for capacity, as a queued resource of the same name (0)
#   SHARE     NFS export, such as a Filestore instance's 10.0.0.2:/share, mounted at /mnt/share on all workers. Data and
#             workdir belong there: a preempted TPU takes its own disks with it ()
#   WORKDIR   what `fetch` copies (/mnt/share/runs)
#   PORT      where the workers meet (8476)
#   RESTARTS  how often `run` starts again after a lost process, a lost connection or a preemption (10)
#   TRIES     how often `run` asks for a TPU in the place of a preempted one, ten PAUSEs apart (100)
#   PAUSE     seconds between two looks at what is awaited (30)
#   PROJECT   gcloud's project (gcloud's own setting)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=say_or_do.sh
. "$root/launch/say_or_do.sh"

TYPE=${TYPE:-v5litepod-16}
VERSION=${VERSION:-v2-alpha-tpuv5-lite}
SPOT=${SPOT:-0}
QUEUED=${QUEUED:-0}
SHARE=${SHARE:-}
WORKDIR=${WORKDIR:-/mnt/share/runs}
PORT=${PORT:-8476}
RESTARTS=${RESTARTS:-10}
TRIES=${TRIES:-100}
PAUSE=${PAUSE:-30}
EXIT_FAILED=70 # an error of the training itself; see launch/tpu_worker.sh
EXIT_LOST=75

take_flags "$@"
step=${TRAIN_FLAGS[0]:-}
TRAIN_FLAGS=("${TRAIN_FLAGS[@]:1}")
[ -n "${NAME:-}" ] || refuse 'NAME is missing; name the TPU, such as NAME=mpnet'
[ -n "${ZONE:-}" ] || refuse 'ZONE is missing; say where the TPU is to be, such as ZONE=us-central1-a'
require_number PORT 1
require_number RESTARTS 0
require_number TRIES 1
require_number PAUSE 0
where=("--zone=$ZONE")
[ -z "${PROJECT:-}" ] || where+=("--project=$PROJECT")
scratch=SCRATCH
if [ "$DRY_RUN" != 1 ]; then
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
fi

# `run` goes on after failures, where bash's `set -e` is off: every function below ends at its first failure by itself.

say() { printf '%s\n' "$1" >&2; }

tpu() { do_it gcloud compute tpus tpu-vm "$@" "${where[@]}"; }

# Runs the words as a command on all workers. A line that says nothing for long is kept open, and a dead one is noticed.
on_workers() {
  tpu ssh "$NAME" --worker=all --ssh-flag=-oServerAliveInterval=30 "--command=$(printf '%q ' "$@")"
}

create() {
  local spot=()
  [ "$SPOT" != 1 ] || spot=(--spot)
  if [ "$QUEUED" = 1 ]; then
    do_it gcloud compute tpus queued-resources create "$NAME" "--node-id=$NAME" "--accelerator-type=$TYPE" \
      "--runtime-version=$VERSION" "${spot[@]}" "${where[@]}" || return
    [ "$DRY_RUN" = 1 ] || wait_in_queue
  else
    tpu create "$NAME" "--accelerator-type=$TYPE" "--version=$VERSION" "${spot[@]}"
  fi
}

wait_in_queue() {
  local found
  while :; do
    found=$(gcloud compute tpus queued-resources describe "$NAME" "${where[@]}" '--format=value(state.state)') || found=
    case $found in
      ACTIVE) return 0 ;;
      FAILED | SUSPENDED)
        say "error: the queued resource $NAME is $found; look why with gcloud compute tpus queued-resources describe, \
then delete it and create it again"
        return 1
        ;;
    esac
    sleep "$PAUSE"
  done
}

delete() {
  if [ "$QUEUED" = 1 ]; then
    do_it gcloud compute tpus queued-resources delete "$NAME" --force --quiet "${where[@]}"
  else
    tpu delete "$NAME" --quiet
  fi
}

# Makes a TPU in the place of one that is gone; there may be none to be had for a while.
create_anew() {
  local try
  for ((try = 1; try <= TRIES; try++)); do
    delete || true # what is left of the one before
    if create; then return 0; fi
    say "no TPU to be had now ($try of $TRIES)"
    sleep "$((10 * PAUSE))"
  done
  return 1
}

# State of the TPU; GONE where there is none, and UNKNOWN where gcloud cannot tell.
state() {
  local found
  if found=$(gcloud compute tpus tpu-vm describe "$NAME" "${where[@]}" '--format=value(state)' 2>"$scratch/told"); then
    printf '%s\n' "$found"
  elif grep -q NOT_FOUND "$scratch/told"; then
    echo GONE
  else
    cat "$scratch/told" >&2
    echo UNKNOWN
  fi
}

# The same, when it is none that passes: READY, STOPPED, or gone for ever.
settled_state() {
  local found
  while :; do
    found=$(state)
    case $found in
      READY | STOPPED | PREEMPTED | TERMINATED | SUSPENDED | GONE) break ;;
    esac
    say "the TPU is $found; waiting"
    sleep "$PAUSE"
  done
  printf '%s\n' "$found"
}

# Only what is committed travels: no data, no runs, no virtual environment.
install() {
  do_it git -C "$root" archive --format=tar.gz "--output=$scratch/mpnet_jax.tar.gz" HEAD || return
  tpu scp "$scratch/mpnet_jax.tar.gz" "$NAME:mpnet_jax.tar.gz" --worker=all || return
  on_workers mkdir -p mpnet_jax || return
  on_workers tar -xzf mpnet_jax.tar.gz -C mpnet_jax || return
  on_workers bash mpnet_jax/launch/tpu_worker.sh install ${SHARE:+"$SHARE"}
}

# Trains once under an ID, or follows the training that runs on the workers.
run_once() {
  local told addresses=(FIRST_WORKER) count=COUNT
  if [ "$DRY_RUN" = 1 ]; then
    show gcloud compute tpus tpu-vm describe "$NAME" "${where[@]}" '--format=value(networkEndpoints[].ipAddress)'
  else
    told=$(gcloud compute tpus tpu-vm describe "$NAME" "${where[@]}" \
      '--format=value(networkEndpoints[].ipAddress)') || return
    IFS=';' read -ra addresses <<<"$told"
    [ "${#addresses[@]}" -gt 0 ] || return 1
    count=${#addresses[@]}
  fi
  on_workers bash mpnet_jax/launch/tpu_worker.sh run "$1" "${TRAIN_FLAGS[@]}" \
    --distributed "--coordinator=${addresses[0]}:$PORT" "--process_count=$count"
}

run() {
  local attempt status found id
  id=ID
  [ "$DRY_RUN" = 1 ] || id=$(date +%s)
  for ((attempt = 1; ; attempt++)); do
    status=0
    run_once "$id" || status=$?
    if [ "$status" = 0 ] || [ "$attempt" -gt "$RESTARTS" ]; then break; fi
    found=$(settled_state)
    case $found/$status in
      READY/1 | READY/255)
        say "no connection to the workers; following the training again ($attempt of $RESTARTS)"
        sleep "$PAUSE"
        continue # of the same ID
        ;;
      "READY/$EXIT_LOST") say "a process was lost; all start again ($attempt of $RESTARTS)" ;;
      READY/* | STOPPED/*) break ;;
      *)
        say "the TPU is $found; making it anew ($attempt of $RESTARTS)"
        create_anew && install || return
        ;;
    esac
    id=$(date +%s)-$attempt
  done
  [ "$status" != "$EXIT_FAILED" ] || status=1
  return "$status"
}

stop() { on_workers bash mpnet_jax/launch/tpu_worker.sh stop; }

fetch() {
  do_it mkdir -p "$root/runs" || return
  tpu scp --recurse "$NAME:$WORKDIR" "$root/runs/" --worker=0
}

case $step in
  create | install | run | stop | fetch | delete) "$step" ;;
  all)
    create
    install
    status=0
    run || status=$?
    if [ "$status" = 0 ]; then
      fetch
      delete # what cannot be fetched is not thrown away
    else
      say "the training ended with status $status, and the TPU is still there and costs: give 'run' to go on, or 'delete'"
    fi
    exit "$status"
    ;;
  *) refuse "step '$step' is unknown; use create, install, run, stop, fetch, delete or all" ;;
esac
