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
#        all      create, install, run, fetch, delete
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
#   RESTARTS  how often `run` makes a preempted TPU anew (10)
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
INDEX_URL=http://metadata.google.internal/computeMetadata/v1/instance/attributes/agent-worker-number

take_flags "$@"
step=${TRAIN_FLAGS[0]:-}
TRAIN_FLAGS=("${TRAIN_FLAGS[@]:1}")
[ -n "${NAME:-}" ] || refuse 'NAME is missing; name the TPU, such as NAME=mpnet'
[ -n "${ZONE:-}" ] || refuse 'ZONE is missing; say where the TPU is to be, such as ZONE=us-central1-a'
require_number PORT 1
require_number RESTARTS 0
where=("--zone=$ZONE")
[ -z "${PROJECT:-}" ] || where+=("--project=$PROJECT")

tpu() { do_it gcloud compute tpus tpu-vm "$@" "${where[@]}"; }

# Runs a command line on all workers.
on_workers() { tpu ssh "$NAME" --worker=all "--command=$1"; }

create() {
  local spot=()
  [ "$SPOT" != 1 ] || spot=(--spot)
  if [ "$QUEUED" = 1 ]; then
    do_it gcloud compute tpus queued-resources create "$NAME" "--node-id=$NAME" "--accelerator-type=$TYPE" \
      "--runtime-version=$VERSION" "${spot[@]}" "${where[@]}"
    [ "$DRY_RUN" = 1 ] || until [ "$(state)" = READY ]; do sleep 30; done
  else
    tpu create "$NAME" "--accelerator-type=$TYPE" "--version=$VERSION" "${spot[@]}"
  fi
}

delete() {
  if [ "$QUEUED" = 1 ]; then
    do_it gcloud compute tpus queued-resources delete "$NAME" --force --quiet "${where[@]}"
  else
    tpu delete "$NAME" --quiet
  fi
}

state() { gcloud compute tpus tpu-vm describe "$NAME" "${where[@]}" '--format=value(state)' 2>/dev/null || echo GONE; }

# Only what is committed travels: no data, no runs, no virtual environment.
install() {
  local archive=mpnet_jax.tar.gz mount=''
  if [ "$DRY_RUN" != 1 ]; then
    archive=$(mktemp --suffix=.tar.gz)
    # shellcheck disable=SC2064 # the name of now
    trap "rm -f $(printf %q "$archive")" EXIT
  fi
  if [ -n "$SHARE" ]; then
    mount="sudo apt-get install -y -qq nfs-common && sudo mkdir -p /mnt/share && \
{ mountpoint -q /mnt/share || sudo mount -t nfs $(printf %q "$SHARE") /mnt/share; } && "
  fi
  do_it git -C "$root" archive --format=tar.gz "--output=$archive" HEAD
  tpu scp "$archive" "$NAME:mpnet_jax.tar.gz" --worker=all
  on_workers "sudo apt-get update -qq && ${mount}sudo apt-get install -y -qq python3.11 python3.11-venv && \
mkdir -p mpnet_jax && tar -xzf mpnet_jax.tar.gz -C mpnet_jax && cd mpnet_jax && \
python3.11 -m venv .venv && .venv/bin/python -m pip install --quiet -e '.[tpu]'"
}

# The number of a worker is the place of its address in this list, for JAX and for us.
run_once() {
  local addresses='FIRST_WORKER' count=COUNT flags
  if [ "$DRY_RUN" = 1 ]; then
    show gcloud compute tpus tpu-vm describe "$NAME" "${where[@]}" '--format=value(networkEndpoints[].ipAddress)'
  else
    addresses=$(gcloud compute tpus tpu-vm describe "$NAME" "${where[@]}" \
      '--format=value(networkEndpoints[].ipAddress)')
    count=$(tr ';' '\n' <<<"$addresses" | wc -l)
  fi
  flags=$(printf '%q ' "${TRAIN_FLAGS[@]}")
  on_workers "cd mpnet_jax && echo \$\$ >train.pid && exec .venv/bin/python -m mpnet_jax.train $flags\
--distributed --coordinator=${addresses%%;*}:$PORT --process_count=$count \
--process_index=\"\$(curl -sf -H 'Metadata-Flavor: Google' $INDEX_URL)\""
}

run() {
  local attempt status
  for ((attempt = 1; ; attempt++)); do
    status=0
    run_once || status=$?
    if [ "$status" = 0 ] || [ "$attempt" -gt "$RESTARTS" ]; then return "$status"; fi
    case $(state) in
      READY) [ "$status" = 75 ] || return "$status" ;; # of the ends on a TPU that is there, a lost process's alone
      *)
        printf 'the TPU was preempted; making it anew (%d of %d)\n' "$attempt" "$RESTARTS" >&2
        delete || true
        create
        install
        ;;
    esac
  done
}

# shellcheck disable=SC2016 # the workers' shells expand it
stop() { on_workers 'kill -TERM "$(cat mpnet_jax/train.pid)"'; }

fetch() {
  do_it mkdir -p "$root/runs"
  tpu scp --recurse "$NAME:$WORKDIR" "$root/runs/" --worker=0
}

case $step in
  create | install | run | stop | fetch | delete) "$step" ;;
  all)
    create
    install
    status=0
    run || status=$?
    fetch && delete # what cannot be fetched is not thrown away
    exit "$status"
    ;;
  *) refuse "step '$step' is unknown; use create, install, run, stop, fetch, delete or all" ;;
esac
