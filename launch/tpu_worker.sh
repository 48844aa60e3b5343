#!/usr/bin/env bash
# What launch/tpu_vm.sh calls on every worker of a TPU, in the copy of the checkout there:
#
#   launch/tpu_worker.sh install [SHARE]    installs the project, and mounts the NFS export SHARE at /mnt/share
#   launch/tpu_worker.sh run ID [FLAGS]     trains, writes what the training says, and ends with its status
#   launch/tpu_worker.sh stop               asks the training to save and stop
#
# The training does not hang on the connection that started it. When that breaks, gcloud gives the same command again:
# `run` then follows the training that goes on, and starts no second one. One of the same ID that has ended meanwhile is
# told of, and not started anew; one that is gone without a word counts as a lost process, 75. So does one that somebody
# but `stop` asked to stop: a TPU that is preempted. As 1 is what gcloud ends with when it cannot connect, a training's
# own 1 is told as 70.
#
#   STATE   folder that no start of the machine finds full (training/ and the kernel's number of the start)
#   PYTHON  the interpreter (.venv/bin/python)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
STATE=${STATE:-training/$(</proc/sys/kernel/random/boot_id)}
PYTHON=${PYTHON:-.venv/bin/python}
INDEX_URL=http://metadata.google.internal/computeMetadata/v1/instance/attributes/agent-worker-number
EXIT_FAILED=70
EXIT_LOST=75

# A fresh machine may still be updating itself, which holds the locks of apt.
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

# Trains in a session of its own, and keeps the status.
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
    # The number of a worker is the place of its address in the list of addresses, for JAX and for us.
    index=$(curl -sf -H 'Metadata-Flavor: Google' "$INDEX_URL")
    rm -f "$STATE"/*
    echo "$id" >"$STATE/id"
    setsid nohup "$BASH" launch/tpu_worker.sh keep "$@" "--process_index=$index" >train.log 2>&1 </dev/null &
    until [ -s "$STATE/pid" ]; do sleep 0.1; done
    lines=+1
  fi
  tail --pid="$(<"$STATE/pid")" --lines="$lines" --follow train.log
  sleep 1 # `keep` writes the status a moment after the training has ended
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
