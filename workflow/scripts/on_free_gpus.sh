#!/usr/bin/env bash
# Run a command on GPUs that no other command started by this script uses, waiting until there are some.
#
#     bash workflow/scripts/on_free_gpus.sh 1 python -m ares benchmark ...
#
# Snakemake counts GPUs and hands out none: with `--resources gpu=8` eight jobs of one GPU each run side
# by side, and without this all would take the first. Under SLURM, where a job sees its own GPUs only, it
# takes those.
set -euo pipefail

if [[ $# -lt 2 || ! $1 =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: bash workflow/scripts/on_free_gpus.sh N COMMAND ... (N: number of GPUs)" >&2
    exit 2
fi
WANTED=$1
shift

LOCKS=${ARES_GPU_LOCKS:-${TMPDIR:-/tmp}/ares-gpus-$(id -u)}
mkdir -p "$LOCKS"
# nvidia-smi numbers GPUs by their place on the bus; CUDA does so when told.
export CUDA_DEVICE_ORDER=PCI_BUS_ID
mapfile -t FOUND < <(nvidia-smi --query-gpu=index,uuid --format=csv,noheader)
GPUS=()
for line in "${FOUND[@]}"; do
    # What the caller may see, if that is limited: by number or by name.
    if [[ -z ${CUDA_VISIBLE_DEVICES:-} || ,$CUDA_VISIBLE_DEVICES, == *,"${line%%,*}",* ||
        ,$CUDA_VISIBLE_DEVICES, == *,"${line##*, }",* ]]; then
        GPUS+=("$line")
    fi
done
if [[ ${#GPUS[@]} -lt $WANTED ]]; then
    echo "$WANTED GPUs wanted, ${#GPUS[@]} seen (nvidia-smi, CUDA_VISIBLE_DEVICES)" >&2
    exit 1
fi

# A lock per GPU, held by this process and so by the command it becomes, and gone when that ends.
while true; do
    TAKEN=() HANDLES=()
    for line in "${GPUS[@]}"; do
        exec {handle}>"$LOCKS/${line##*, }"
        if [[ ${#TAKEN[@]} -lt $WANTED ]] && flock --nonblock "$handle"; then
            TAKEN+=("${line%%,*}") HANDLES+=("$handle")
        else
            exec {handle}>&-
        fi
    done
    [[ ${#TAKEN[@]} -eq $WANTED ]] && break
    # Too few: give them back, or two such jobs could wait for each other.
    for handle in "${HANDLES[@]}"; do exec {handle}>&-; done
    sleep "$((1 + RANDOM % 5))"
done

CUDA_VISIBLE_DEVICES=$(IFS=,; echo "${TAKEN[*]}")
export CUDA_VISIBLE_DEVICES
exec "$@"
