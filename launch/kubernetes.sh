#!/usr/bin/env bash
# Trains on several hosts of a Kubernetes cluster: fills in launch/kubernetes.yaml and hands it to kubectl.
#
#   NAME=mpnet IMAGE=registry/mpnet_jax:1 CLAIM=share HOSTS=4 \
#     launch/kubernetes.sh [--dry_run] STEP [flags of the training command]
#
# The cluster must be of Kubernetes 1.31 or later.
#
#   STEP apply   makes service and Job; --dry_run prints them instead, whole
#        logs    follows what the first process says
#        delete  ends the Job: all processes save the same step and stop
#
#   NAME           of service and Job (mpnet)
#   IMAGE          container image with this project installed; launch/Dockerfile makes one (required)
#   CLAIM          PersistentVolumeClaim that many hosts may write (ReadWriteMany), mounted at /share: data and workdir
#                  belong there (required). The processes are user and group 1000. Volumes of a CSI driver are made
#                  theirs; a plain NFS export must be a folder that user 1000 may write
#   HOSTS          pods, one a host (2)
#   GPUS           of each; with 0 the CPU trains (8)
#   CPUS           of each (32)
#   MEMORY         of each (128Gi)
#   PORT           where they meet (8476)
#   GRACE_SECONDS  between SIGTERM and SIGKILL: long enough for two steps and a checkpoint (120)
#   MEET_SECONDS   to wait at the start for pods that have no host yet (1800)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=say_or_do.sh
. "$root/launch/say_or_do.sh"

NAME=${NAME:-mpnet}
HOSTS=${HOSTS:-2}
GPUS=${GPUS:-8}
CPUS=${CPUS:-32}
MEMORY=${MEMORY:-128Gi}
PORT=${PORT:-8476}
GRACE_SECONDS=${GRACE_SECONDS:-120}
MEET_SECONDS=${MEET_SECONDS:-1800}

take_flags "$@"
step=${TRAIN_FLAGS[0]:-}
TRAIN_FLAGS=("${TRAIN_FLAGS[@]:1}")
[[ $NAME =~ ^[a-z]([-a-z0-9]{0,50}[a-z0-9])?$ ]] || refuse "NAME=$NAME must be small letters, digits and dashes"
[[ $CPUS =~ ^[0-9]+m?$ ]] || refuse "CPUS=$CPUS must be a number of cores, such as 32"
[[ $MEMORY =~ ^[0-9]+([KMGT]i?)?$ ]] || refuse "MEMORY=$MEMORY must be a quantity, such as 128Gi"
require_number HOSTS 1
require_number GPUS 0
require_number PORT 1
require_number GRACE_SECONDS 1
require_number MEET_SECONDS 1
for word in "${TRAIN_FLAGS[@]}"; do
  [[ $word != *[[:cntrl:]]* ]] || refuse "a flag holds a control character: $(printf %q "$word")"
done

# A word as a JSON string, which YAML takes too. Kubernetes reads $(NAME) in arguments as a variable; $$ is a dollar.
quoted() {
  local word=$1
  word=${word//\\/\\\\}
  word=${word//\"/\\\"}
  printf '"%s"' "${word//\$(/\$\$(}"
}

manifest() {
  local text arguments='' name value
  # A GPU that JAX cannot use is an error, and no slow run on the CPU.
  local platform=cuda
  [ "$GPUS" != 0 ] || platform=cpu
  for word in "${TRAIN_FLAGS[@]}" --distributed "--coordinator=$NAME-0.$NAME:$PORT" "--process_count=$HOSTS" \
    "--meeting_seconds=$MEET_SECONDS"; do
    arguments+="${arguments:+, }$(quoted "$word")"
  done
  text=$(<"$root/launch/kubernetes.yaml")
  for name in NAME HOSTS GPUS CPUS MEMORY PORT GRACE_SECONDS IMAGE CLAIM; do
    value=${!name}
    text=${text//"\${$name}"/"$value"}
  done
  text=${text//"\${PLATFORM}"/"$platform"}
  text=${text//"\${FAILURES}"/"$((6 * HOSTS))"}
  printf '%s\n' "${text//"\${TRAIN_ARGUMENTS}"/"[$arguments]"}"
}

case $step in
  apply)
    [[ ${IMAGE:-} =~ ^[A-Za-z0-9./:@_-]+$ ]] || refuse "IMAGE=${IMAGE:-} must name a container image"
    [[ ${CLAIM:-} =~ ^[-.a-z0-9]+$ ]] || refuse "CLAIM=${CLAIM:-} must name a PersistentVolumeClaim"
    text=$(manifest)
    if [ "$DRY_RUN" = 1 ]; then printf '%s\n' "$text"; else kubectl apply --filename=- <<<"$text"; fi
    ;;
  logs) do_it kubectl logs --follow --tail=-1 --max-log-requests=100 \
    "--selector=job-name=$NAME,batch.kubernetes.io/job-completion-index=0" ;;
  delete) do_it kubectl delete "job/$NAME" "service/$NAME" ;;
  *) refuse "step '$step' is unknown; use apply, logs or delete" ;;
esac
