#!/usr/bin/env bash
# Trains on several hosts of a Kubernetes cluster: fills in launch/kubernetes.yaml and passes it to kubectl.
#
#   NAME=mpnet IMAGE=registry/mpnet_jax:1 CLAIM=share HOSTS=4 \
#     launch/kubernetes.sh [--dry_run] STEP [flags of the training command]
#
# The cluster must run Kubernetes 1.31 or later.
#
#   STEP apply   creates the service and the Job; --dry_run prints both instead
#        logs    follows the output of process 0
#        delete  deletes the Job: all processes save the same step and stop
#
#   NAME           name of the service and the Job (mpnet)
#   IMAGE          container image with this project installed; launch/Dockerfile builds one (required)
#   CLAIM          PersistentVolumeClaim with access mode ReadWriteMany, mounted at /share, for data and workdir
#                  (required). The processes run as user and group 1000. Kubernetes gives them a CSI driver's volume; on
#                  a plain NFS export, user 1000 must be allowed to write
#   HOSTS          number of pods, one per host (2)
#   GPUS           GPUs per pod; 0 trains on the CPU (8)
#   CPUS           cores per pod (32)
#   MEMORY         memory per pod (128Gi)
#   PORT           port of the coordinator, process 0 (8476)
#   GRACE_SECONDS  time between SIGTERM and SIGKILL, long enough for two steps and a checkpoint (120)
#   MEET_SECONDS   longest wait for the other pods at the start (1800)
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

# Prints a word as a JSON string, which is also YAML. In arguments, Kubernetes would expand $(NAME), but not $$(NAME).
quoted() {
  local word=$1
  word=${word//\\/\\\\}
  word=${word//\"/\\\"}
  printf '"%s"' "${word//\$(/\$\$(}"
}

manifest() {
  local text arguments='' name value
  # With cuda, JAX fails when it cannot use a GPU instead of running slowly on the CPU.
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
