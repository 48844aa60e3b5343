#!/usr/bin/env bash
# Trains on several hosts of a Kubernetes cluster, or compares methods there: fills in launch/kubernetes.yaml or
# launch/kubernetes_compare.yaml and passes it to kubectl.
#
#   NAME=mpnet IMAGE=registry/mpnet_jax:1 CLAIM=share HOSTS=4 \
#     launch/kubernetes.sh [--dry_run] STEP [flags of the command]
#
# The cluster must run Kubernetes 1.31 or later.
#
#   STEP apply    creates the service and the Job that train; --dry_run prints both instead
#        compare  creates a Job in which HOSTS pods share the cells of `python -m mpnet_jax.compare`
#        logs     follows the output of process 0
#        delete   deletes the Job: all processes save and stop, in training at the same step
#
#   NAME           name of the service and the Job (mpnet)
#   IMAGE          container image with this project installed; launch/Dockerfile builds one (required)
#   CLAIM          PersistentVolumeClaim with access mode ReadWriteMany, mounted at /share, for data and workdir
#                  (required). The processes run as user and group 1000. Kubernetes gives them a CSI driver's volume; on
#                  a plain NFS export, user 1000 must be allowed to write
#   HOSTS          number of pods, in training one per host (2)
#   AT_ONCE        number of pods of a comparison that run at the same time (HOSTS)
#   GPUS           GPUs per pod; 0 trains on the CPU (8; 0 in a comparison)
#   CPUS           cores per pod (32; 1 in a comparison)
#   MEMORY         memory per pod (128Gi; 6Gi in a comparison)
#   PORT           port of the coordinator, process 0 (8476)
#   GRACE_SECONDS  time between SIGTERM and SIGKILL, long enough for two steps and a checkpoint (120)
#   MEET_SECONDS   longest wait for the other pods at the start (1800)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=say_or_do.sh
. "$root/launch/say_or_do.sh"

take_flags "$@"
step=${TRAIN_FLAGS[0]:-}
TRAIN_FLAGS=("${TRAIN_FLAGS[@]:1}")
defaults=(8 32 128Gi)
[ "$step" != compare ] || defaults=(0 1 6Gi)
NAME=${NAME:-mpnet}
HOSTS=${HOSTS:-2}
AT_ONCE=${AT_ONCE:-$HOSTS}
GPUS=${GPUS:-${defaults[0]}}
CPUS=${CPUS:-${defaults[1]}}
MEMORY=${MEMORY:-${defaults[2]}}
PORT=${PORT:-8476}
GRACE_SECONDS=${GRACE_SECONDS:-120}
MEET_SECONDS=${MEET_SECONDS:-1800}

[[ $NAME =~ ^[a-z]([-a-z0-9]{0,50}[a-z0-9])?$ ]] || refuse "NAME=$NAME must be small letters, digits and dashes"
[[ $CPUS =~ ^[0-9]+m?$ ]] || refuse "CPUS=$CPUS must be a number of cores, such as 32"
[[ $MEMORY =~ ^[0-9]+([KMGT]i?)?$ ]] || refuse "MEMORY=$MEMORY must be a quantity, such as 128Gi"
require_number HOSTS 1
require_number AT_ONCE 1
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
  local template=$1 text arguments='' word name value
  shift
  # With cuda, JAX fails when it cannot use a GPU instead of running slowly on the CPU.
  local platform=cuda
  [ "$GPUS" != 0 ] || platform=cpu
  for word in "${TRAIN_FLAGS[@]}" "$@"; do
    arguments+="${arguments:+, }$(quoted "$word")"
  done
  # shellcheck disable=SC2016 # Kubernetes replaces it by the index of the pod
  [ "$step" != compare ] || arguments+=${arguments:+, }'"--cells=$(JOB_COMPLETION_INDEX)/'$HOSTS'"'
  text=$(<"$root/launch/$template")
  for name in NAME HOSTS AT_ONCE GPUS CPUS MEMORY PORT GRACE_SECONDS IMAGE CLAIM; do
    value=${!name}
    text=${text//"\${$name}"/"$value"}
  done
  text=${text//"\${PLATFORM}"/"$platform"}
  text=${text//"\${FAILURES}"/"$((6 * HOSTS))"}
  printf '%s\n' "${text//"\${ARGUMENTS}"/"[$arguments]"}"
}

case $step in
  apply | compare)
    [[ ${IMAGE:-} =~ ^[A-Za-z0-9./:@_-]+$ ]] || refuse "IMAGE=${IMAGE:-} must name a container image"
    [[ ${CLAIM:-} =~ ^[-.a-z0-9]+$ ]] || refuse "CLAIM=${CLAIM:-} must name a PersistentVolumeClaim"
    if [ "$step" = compare ]; then
      text=$(manifest kubernetes_compare.yaml)
    else
      text=$(manifest kubernetes.yaml --distributed "--coordinator=$NAME-0.$NAME:$PORT" "--process_count=$HOSTS" \
        "--meeting_seconds=$MEET_SECONDS")
    fi
    if [ "$DRY_RUN" = 1 ]; then printf '%s\n' "$text"; else kubectl apply --filename=- <<<"$text"; fi
    ;;
  logs) do_it kubectl logs --follow --tail=-1 --max-log-requests=100 \
    "--selector=job-name=$NAME,batch.kubernetes.io/job-completion-index=0" ;;
  delete) do_it kubectl delete --ignore-not-found "job/$NAME" "service/$NAME" ;;
  *) refuse "step '$step' is unknown; use apply, compare, logs or delete" ;;
esac
