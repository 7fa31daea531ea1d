#!/usr/bin/env bash
# Train while a vLLM server samples: the last node serves the model, the others train it.
#
#     sbatch --nodes=3 config/slurm/train-with-server.sh MODEL -m ares.launch train ...
#
# What follows the model is what `accelerate launch` starts; docs/scale-out.md has the whole line. It
# finds the server's address in VLLM_SERVER. Submit from the root of the repository, with
# --partition, --account and --time as your cluster wants them.
#SBATCH --job-name=ares-train-server
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
set -euo pipefail

if [[ $# -lt 2 || -z ${SLURM_JOB_ID:-} || ${SLURM_NNODES:-0} -lt 2 ]]; then
    echo "usage: sbatch --nodes=N config/slurm/train-with-server.sh MODEL SCRIPT ... (N at least 2)" >&2
    exit 2
fi
MODEL=$1
shift

# GPUs that share one copy of the model; must divide its attention heads (7B has 28, 3B has 16).
TENSOR_PARALLEL=${TENSOR_PARALLEL:-4}
SERVER_MINUTES=${SERVER_MINUTES:-20}
mapfile -t NODES < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
SERVER_NODE=${NODES[-1]}
unset 'NODES[-1]'

export ACCELERATE_CONFIG=${ACCELERATE_CONFIG:-config/accelerate/fsdp.yaml}
export TRAIN_NODES=${#NODES[@]}
export MAIN_ADDRESS=${NODES[0]}
# Jobs that share a node get different ports.
export MAIN_PORT=$((20000 + SLURM_JOB_ID % 20000))
export VLLM_SERVER="http://$SERVER_NODE:8000"
export PATH="$PWD/.venv/bin:$PATH"

srun --nodes=1 --ntasks=1 --nodelist="$SERVER_NODE" --cpus-per-task="$SLURM_CPUS_PER_TASK" \
    trl vllm-serve --model "$MODEL" --port 8000 --tensor_parallel_size "$TENSOR_PARALLEL" &
SERVER=$!
trap 'kill "$SERVER" 2>/dev/null || true' EXIT

for ((second = 0; ; second += 5)); do
    curl --silent --fail --output /dev/null "$VLLM_SERVER/health" && break
    kill -0 "$SERVER" 2>/dev/null || { echo "the vLLM server ended; its log stands above" >&2; exit 1; }
    if ((second >= 60 * SERVER_MINUTES)); then
        echo "no vLLM server at $VLLM_SERVER after $SERVER_MINUTES minutes: set SERVER_MINUTES" >&2
        exit 1
    fi
    sleep 5
done

# Single quotes: a node's rank is known on that node only.
# shellcheck disable=SC2016
srun --nodes="$TRAIN_NODES" --ntasks="$TRAIN_NODES" --nodelist="$(IFS=,; echo "${NODES[*]}")" \
    --cpus-per-task="$SLURM_CPUS_PER_TASK" --kill-on-bad-exit=1 bash -c '
    exec accelerate launch \
        --config_file "$ACCELERATE_CONFIG" \
        --num_machines "$TRAIN_NODES" \
        --num_processes "$((TRAIN_NODES * SLURM_GPUS_ON_NODE))" \
        --machine_rank "$SLURM_NODEID" \
        --main_process_ip "$MAIN_ADDRESS" \
        --main_process_port "$MAIN_PORT" \
        "$@"' accelerate "$@"
