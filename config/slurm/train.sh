#!/usr/bin/env bash
# Train on one node or on several: `accelerate launch` once per node, one process per GPU.
#
#     sbatch --nodes=2 config/slurm/train.sh -m ares.launch train --config gpu --prompts ... --arm ares --seed 1 ...
#     ACCELERATE_CONFIG=config/accelerate/fsdp.yaml sbatch config/slurm/train.sh -m ares.launch train ...
#
# What follows the script is what `accelerate launch` starts. Submit from the root of the repository,
# with --partition, --account and --time as your cluster wants them.
#SBATCH --job-name=ares-train
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
set -euo pipefail

if [[ $# -eq 0 || -z ${SLURM_JOB_ID:-} ]]; then
    echo "usage: sbatch [--nodes=N] config/slurm/train.sh (-m ares.launch train ... | SCRIPT ...)" >&2
    exit 2
fi

export ACCELERATE_CONFIG=${ACCELERATE_CONFIG:-config/accelerate/multi-gpu.yaml}
export TRAIN_NODES=$SLURM_NNODES
mapfile -t NODES < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
export MAIN_ADDRESS=${NODES[0]}
# Jobs that share a node get different ports.
export MAIN_PORT=$((20000 + SLURM_JOB_ID % 20000))
export PATH="$PWD/.venv/bin:$PATH"

# Single quotes: a node's rank is known on that node only.
# shellcheck disable=SC2016
srun --cpus-per-task="$SLURM_CPUS_PER_TASK" --kill-on-bad-exit=1 bash -c '
    exec accelerate launch \
        --config_file "$ACCELERATE_CONFIG" \
        --num_machines "$TRAIN_NODES" \
        --num_processes "$((TRAIN_NODES * SLURM_GPUS_ON_NODE))" \
        --machine_rank "$SLURM_NODEID" \
        --main_process_ip "$MAIN_ADDRESS" \
        --main_process_port "$MAIN_PORT" \
        "$@"' accelerate "$@"
