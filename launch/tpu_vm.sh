#!/usr/bin/env bash
# Trains on a Cloud TPU with one or more hosts, through `gcloud compute tpus tpu-vm`:
#
#   NAME=mpnet ZONE=us-central1-a TYPE=v5litepod-16 SHARE=10.0.0.2:/share \
#     launch/tpu_vm.sh [--dry_run] STEP [flags of the training command]
#
#   STEP create   creates the TPU and waits for it (as a queued resource with QUEUED=1)
#        install  copies the committed state of this checkout to all workers, installs it and mounts SHARE
#        run      trains on all workers; after a preemption creates the TPU again, installs and trains
#        stop     asks all workers to save and stop
#        fetch    copies WORKDIR of the first worker to runs/
#        delete   deletes the TPU
#        all      create, install and run; fetch and delete once the training is complete
#
# The training continues when the connection breaks and after Ctrl-C. `run` follows it again, `stop` ends it.
#
#   NAME      name of the TPU (required)
#   ZONE      zone of the TPU (required)
#   TYPE      accelerator type (v5litepod-16)
#   VERSION   software version of the workers (v2-alpha-tpuv5-lite)
#   SPOT      1 creates a spot TPU, which is cheaper and may be preempted (0)
#   QUEUED    1 waits for capacity as a queued resource of the same name (0)
#   SHARE     NFS export, such as a Filestore instance's 10.0.0.2:/share, mounted at /mnt/share on all workers. Keep
#             data and workdir there: the disks of a preempted TPU are lost ()
#   WORKDIR   folder that `fetch` copies (/mnt/share/runs)
#   PORT      port of the coordinator, process 0 (8476)
#   RESTARTS  restarts of `run` after a lost process, a lost connection or a preemption (10)
#   TRIES     attempts of `run` to replace a preempted TPU, ten PAUSEs apart (100)
#   PAUSE     seconds between two polls (30)
#   PROJECT   gcloud project (gcloud's own setting)
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
EXIT_LOST=134   # a process was lost, so JAX aborted the others (128 + SIGABRT)

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

# `run` handles failures, which turns bash's `set -e` off. So every function below returns at its first failure.

say() { printf '%s\n' "$1" >&2; }

tpu() { do_it gcloud compute tpus tpu-vm "$@" "${where[@]}"; }

# Runs a command on all workers. ServerAliveInterval keeps a silent connection open and detects a broken one.
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

# Replaces a TPU that no longer exists; capacity may be lacking for a while.
create_anew() {
  local try
  for ((try = 1; try <= TRIES; try++)); do
    delete || true # the remains of the old TPU
    if create; then return 0; fi
    say "no TPU available now ($try of $TRIES)"
    sleep "$((10 * PAUSE))"
  done
  return 1
}

# Prints the TPU's state: GONE when it does not exist, UNKNOWN when gcloud fails.
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

# Waits until the state is READY, STOPPED or one of a lost TPU, and prints it.
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

# Copies only committed files: no data, runs or virtual environment.
install() {
  do_it git -C "$root" archive --format=tar.gz "--output=$scratch/mpnet_jax.tar.gz" HEAD || return
  tpu scp "$scratch/mpnet_jax.tar.gz" "$NAME:mpnet_jax.tar.gz" --worker=all || return
  on_workers mkdir -p mpnet_jax || return
  on_workers tar -xzf mpnet_jax.tar.gz -C mpnet_jax || return
  on_workers bash mpnet_jax/launch/tpu_worker.sh install ${SHARE:+"$SHARE"}
}

# Starts the training with this ID, or follows the one that already runs on the workers.
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
        continue # with the same ID
        ;;
      "READY/$EXIT_LOST") say "a process was lost; all start again ($attempt of $RESTARTS)" ;;
      READY/* | STOPPED/*) break ;;
      *)
        say "the TPU is $found; creating a new one ($attempt of $RESTARTS)"
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
      delete # not reached when fetch fails
    else
      say "the training ended with status $status; the TPU still exists and costs money: give 'run' or 'delete'"
    fi
    exit "$status"
    ;;
  *) refuse "step '$step' is unknown; use create, install, run, stop, fetch, delete or all" ;;
esac
