#!/usr/bin/env bash
# Trains on all GPUs of this machine, in one process:
#
#   launch/gpu.sh [--dry_run] --config=configs/music_mix2.py --workdir=runs/music_mix2
#
# All arguments except --dry_run go to `python -m mpnet_jax.train`. config.batch_size must be divisible by the number of
# GPUs. SIGTERM and SIGUSR1 save and stop with status 143 or 138; the same command resumes.
#
#   GPUS             GPU numbers, such as 0,1 (all)
#   MEMORY_FRACTION  fraction of each GPU's memory that JAX allocates at the start (0.9)
#   PYTHON           interpreter with the packages of pip install -e '.[cuda]' (.venv/bin/python, else python3)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=say_or_do.sh
. "$root/launch/say_or_do.sh"

GPUS=${GPUS:-}
MEMORY_FRACTION=${MEMORY_FRACTION:-0.9}
if [ -z "${PYTHON:-}" ]; then PYTHON=$root/.venv/bin/python; [ -x "$PYTHON" ] || PYTHON=python3; fi

take_flags "$@"
[[ -z $GPUS || $GPUS =~ ^[0-9]+(,[0-9]+)*$ ]] || refuse "GPUS=$GPUS must be numbers such as 0,1"
[[ $MEMORY_FRACTION =~ ^(0?\.[0-9]+|1(\.0*)?)$ ]] || refuse "MEMORY_FRACTION=$MEMORY_FRACTION must lie between 0 and 1"
if [ "$DRY_RUN" != 1 ] && ! nvidia-smi --list-gpus >/dev/null 2>&1; then
  refuse "nvidia-smi finds no GPU on this machine; launch/local.sh trains on the CPU"
fi

# With JAX_PLATFORMS=cuda, JAX fails when it cannot use a GPU instead of running slowly on the CPU.
variables=(JAX_PLATFORMS=cuda "XLA_PYTHON_CLIENT_MEM_FRACTION=$MEMORY_FRACTION")
[ -z "$GPUS" ] || variables+=("CUDA_VISIBLE_DEVICES=$GPUS")
cd "$root"
call=(env "${variables[@]}" "$PYTHON" -m mpnet_jax.train "${TRAIN_FLAGS[@]}")
if [ "$DRY_RUN" = 1 ]; then show "${call[@]}"; else exec "${call[@]}"; fi
