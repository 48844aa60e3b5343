#!/usr/bin/env bash
# Called by launch/tpu_vm.sh on every worker of a TPU, in its copy of the checkout:
#
#   launch/tpu_worker.sh install [SHARE]    installs the project and mounts the NFS export SHARE at /mnt/share
#   launch/tpu_worker.sh run ID [FLAGS]     trains, prints the training's output and exits with its status
#   launch/tpu_worker.sh stop               asks the training to save and stop
#
# The training does not depend on the connection that started it. When the connection breaks, gcloud repeats the
# command: `run` then follows the running training instead of starting a second one. If the training with this ID has
# already ended, `run` prints its last lines and returns its status, or 134 (lost process) when it left none. A training
# that was stopped by anything but `stop`, such as a preemption, also counts as lost. Status 1 of the training is
# reported as 70, because gcloud itself exits with 1 when it cannot connect.
#
#   STATE   folder for the state of the training, empty after each boot (training/BOOT_ID)
#   PYTHON  interpreter (.venv/bin/python)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
STATE=${STATE:-training/$(</proc/sys/kernel/random/boot_id)}
PYTHON=${PYTHON:-.venv/bin/python}
INDEX_URL=http://metadata.google.internal/computeMetadata/v1/instance/attributes/agent-worker-number
EXIT_FAILED=70
EXIT_LOST=134 # 128 + SIGABRT: JAX aborts the others when a process is lost

# A new machine may still be updating itself and holding the locks of apt.
apt() { sudo apt-get -o DPkg::Lock::Timeout=600 "$@" -qq; }

install() {
  local try share=${1:-}
  for ((try = 1; ; try++)); do
    if apt update; then break; fi
    [ "$try" -lt 20 ] || return 1
    sleep 30
  done
  apt install -y python3.11 python3.11-venv ${share:+nfs-common}
  if [ -n "$share" ]; then
    sudo mkdir -p /mnt/share
    mountpoint -q /mnt/share || sudo mount -t nfs "$share" /mnt/share
    [ -w /mnt/share ] || sudo chmod a+rwx /mnt/share # a new export belongs to root
  fi
  python3.11 -m venv .venv
  .venv/bin/python -m pip install --quiet -e '.[tpu]'
}

lives() { [ -s "$STATE/pid" ] && kill -0 "$(<"$STATE/pid")" 2>/dev/null; }

# Trains and records the exit status; runs in its own session.
keep() {
  local status=0
  "$PYTHON" -m mpnet_jax.train "$@" &
  echo "$!" >"$STATE/pid"
  wait "$!" || status=$?
  if [ "$status" = 1 ]; then status=$EXIT_FAILED; fi
  if [ "$status" = 143 ] && [ ! -e "$STATE/asked" ]; then status=$EXIT_LOST; fi
  echo "$status" >"$STATE/status"
}

run() {
  local id=$1 index lines=20
  shift
  mkdir -p "$STATE"
  if ! lives && [ "$(cat "$STATE/id" 2>/dev/null)" != "$id" ]; then
    # The worker number is the index of its address in the list of addresses. JAX uses it, too.
    index=$(curl -sf -H 'Metadata-Flavor: Google' "$INDEX_URL")
    rm -f "$STATE"/*
    echo "$id" >"$STATE/id"
    setsid nohup "$BASH" launch/tpu_worker.sh keep "$@" "--process_index=$index" >train.log 2>&1 </dev/null &
    until [ -s "$STATE/pid" ]; do sleep 0.1; done
    lines=+1
  fi
  tail --pid="$(<"$STATE/pid")" --lines="$lines" --follow train.log
  sleep 1 # `keep` writes the status shortly after the training has ended
  exit "$(cat "$STATE/status" 2>/dev/null || echo "$EXIT_LOST")"
}

stop() {
  if lives; then
    touch "$STATE/asked"
    kill -TERM "$(<"$STATE/pid")"
  else
    echo 'no training runs here' >&2
  fi
}

case ${1:-} in
  install | run | stop | keep) "$@" ;;
  *)
    printf 'error: step %q is unknown; use install, run or stop\n' "${1:-}" >&2
    exit 2
    ;;
esac
