"""Launching on many GPUs, as far as a machine without any can tell.

accelerate reads every file of config/accelerate; the SLURM scripts run with stand-ins for SLURM's
own commands; every command in docs/scale-out.md is parsed by the parser it is meant for.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import FullyShardedDataParallelPlugin
from accelerate.utils.launch import prepare_multi_gpu_env
from transformers import Qwen2_5_VLForConditionalGeneration

from ares import launch, paths

PAGE = paths.ROOT / "docs/scale-out.md"
STEP = "ares.launch"


# ---------------------------------------------------------------------- config/accelerate


def launched(*arguments: str):
    """What `accelerate launch` makes of a command line and its config file."""
    parsed = launch_command_parser().parse_args([*arguments, "-m", "ares", "config", "smoke"])
    return _validate_launch_command(parsed)[0]


#: What a config chooses in accelerate, under its two names for it.
CHOSEN = {
    "fsdp": ("FSDP", "use_fsdp"),
    "multi-gpu": ("MULTI_GPU", "multi_gpu"),
    "zero3": ("DEEPSPEED", "use_deepspeed"),
}


@pytest.mark.parametrize("name", CHOSEN)
def test_accelerate_and_its_launcher_take_the_config_and_the_number_of_processes(name):
    path = paths.CONFIG / f"accelerate/{name}.yaml"
    config = load_config_from_file(str(path))
    assert (config.num_machines, config.num_processes, config.mixed_precision) == (1, 8, "bf16")
    assert config.distributed_type.value == CHOSEN[name][0]
    # The loader of the file checks the outer keys only; a misspelt inner one would do nothing.
    options = vars(launch_command_parser().parse_args(["x"]))
    sections = yaml.safe_load(path.read_text(encoding="utf-8"))
    for section in ("fsdp_config", "deepspeed_config"):
        assert sections.get(section, {}).keys() <= options.keys()
    args = launched("--config_file", str(path), "--num_processes", "3")
    assert (args.num_processes, args.module, args.training_script) == (3, True, "ares")
    assert [flag for _, flag in CHOSEN.values() if getattr(args, flag)] == [CHOSEN[name][1]]
    assert name != "zero3" or (args.zero_stage, args.zero3_save_16bit_model) == (3, True)


def test_fsdp_is_version_2_and_wraps_the_blocks_of_the_model(monkeypatch):
    environment = prepare_multi_gpu_env(launched("--config_file", "config/accelerate/fsdp.yaml"))
    for name in ("FSDP_VERSION", "FSDP_RESHARD_AFTER_FORWARD"):
        assert name in environment
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2
    assert plugin.reshard_after_forward is True and plugin.activation_checkpointing
    # What transformers names as the blocks that must stay whole.
    assert set(plugin.transformer_cls_names_to_wrap) == set(
        Qwen2_5_VLForConditionalGeneration._no_split_modules
    )


# ---------------------------------------------------------------------- config/slurm

#: Stand-ins: `srun` runs its command once per node of the step, all note how they were called.
STAND_INS = {
    "scontrol": 'printf "%s\\n" $(echo "$3" | tr , " ")',
    "srun": """
        echo "srun $1 $2 $3" >>"$CALLS"
        nodes=$SLURM_NNODES
        while [[ $1 == --* ]]; do
            [[ $1 == --nodes=* ]] && nodes=${1#--nodes=}
            shift
        done
        for ((rank = 0; rank < nodes; rank++)); do SLURM_NODEID=$rank "$@" & done
        wait""",
    "accelerate": 'echo "accelerate server=${VLLM_SERVER:-} $*" >>"$CALLS"',
    "trl": 'echo "trl $*" >>"$CALLS"; sleep "${SERVER_SECONDS:-60}"',
    "curl": 'echo "curl $*" >>"$CALLS"; exit "${CURL_STATUS:-0}"',
}


def submit(
    tmp_path: Path, script: str, *arguments: str, real: tuple[str, ...] = (), **environment: str
) -> tuple[subprocess.CompletedProcess, list[str]]:
    """Run a script as `sbatch` would; returns the process and the calls of the stand-ins.

    Commands in `real` are not replaced.
    """
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in STAND_INS.keys() - set(real):
        body = STAND_INS[name]
        (folder / name).write_text(f"#!/usr/bin/env bash\n{body}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    calls = tmp_path / "calls"
    calls.touch()
    slurm = {"SLURM_JOB_ID": "41234", "SLURM_CPUS_PER_TASK": "32", "SLURM_GPUS_ON_NODE": "8"}
    path = f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", str(paths.CONFIG / "slurm" / script), *arguments],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env={"PATH": path, "CALLS": str(calls), **slurm, **environment},
    )  # fmt: skip
    return done, sorted(calls.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("config", ["multi-gpu", "zero3"])
def test_every_node_launches_with_its_own_rank(tmp_path, config):
    path = f"config/accelerate/{config}.yaml"
    own = {} if config == "multi-gpu" else {"ACCELERATE_CONFIG": path}
    done, calls = submit(
        tmp_path, "train.sh", "-m", "ares.launch", "train", "--arm", "a b",
        SLURM_NNODES="2", SLURM_JOB_NODELIST="n7,n8", **own,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert calls == [
        *(
            f"accelerate server= launch --config_file {path} "
            f"--num_machines 2 --num_processes 16 --machine_rank {rank} --main_process_ip n7 "
            "--main_process_port 21234 -m ares.launch train --arm a b"
            for rank in (0, 1)
        ),
        "srun --cpus-per-task=32 --kill-on-bad-exit=1 bash",
    ]


def test_the_last_node_serves_and_the_others_train(tmp_path):
    done, calls = submit(
        tmp_path, "train-with-server.sh", "org/model", "own.py", "--x", "1",
        SLURM_NNODES="3", SLURM_JOB_NODELIST="n1,n2,n3", SERVER_SECONDS="1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [call for call in calls if call.startswith("accelerate")] == [
        "accelerate server=http://n3:8000 launch --config_file config/accelerate/fsdp.yaml "
        f"--num_machines 2 --num_processes 16 --machine_rank {rank} --main_process_ip n1 "
        "--main_process_port 21234 own.py --x 1"
        for rank in (0, 1)
    ]
    assert "srun --nodes=1 --ntasks=1 --nodelist=n3" in calls
    assert "srun --nodes=2 --ntasks=2 --nodelist=n1,n2" in calls
    assert "trl vllm-serve --model org/model --port 8000 --tensor_parallel_size 4" in calls
    assert "curl --silent --fail --output /dev/null http://n3:8000/health" in calls


def test_a_server_that_does_not_come_up_ends_the_job(tmp_path):
    done, calls = submit(
        tmp_path, "train-with-server.sh", "org/model", "own.py",
        SLURM_NNODES="2", SLURM_JOB_NODELIST="n1,n2", CURL_STATUS="7", SERVER_MINUTES="0",
        SERVER_SECONDS="2",
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("no vLLM server at http://n2:8000 after 0 minutes")
    assert not [call for call in calls if call.startswith("accelerate")]


@pytest.mark.parametrize(
    ("script", "arguments", "nodes"),
    [
        ("train.sh", (), "1"),
        ("train-with-server.sh", ("org/model",), "2"),
        ("train-with-server.sh", ("org/model", "own.py"), "1"),
    ],
)
def test_a_wrong_call_is_told_the_right_one(tmp_path, script, arguments, nodes):
    done, calls = submit(tmp_path, script, *arguments, SLURM_NNODES=nodes, SLURM_JOB_NODELIST="n1")
    assert (done.returncode, calls) == (2, [])
    assert done.stderr.startswith("usage: sbatch")


# ---------------------------------------------------------------------- docs/scale-out.md


def commands() -> list[list[str]]:
    """The commands of the page's shell blocks, as words; continued lines are joined."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def test_the_step_takes_the_options_of_the_page(monkeypatch):
    def parsed(scale: str):
        raise StopIteration(scale)

    monkeypatch.setattr(launch, "load_config", parsed)
    trainings = [words[words.index(STEP) + 1 :] for words in commands() if STEP in words]
    assert len(trainings) >= 8
    for arguments in trainings:
        with pytest.raises(StopIteration, match=r"^(gpu|paper-7b)$"):
            launch.app(arguments, standalone_mode=False)


def test_the_page_names_every_config_and_script_and_what_its_commands_name_exists():
    text = PAGE.read_text(encoding="utf-8")
    files = [*(paths.CONFIG / "accelerate").glob("*"), *(paths.CONFIG / "slurm").glob("*")]
    assert files and all(str(path.relative_to(paths.ROOT)) in text for path in files)
    words = {word.rpartition("=")[2] for words in commands() for word in words}
    named = [word for word in words if word.startswith(("config/", "benchmarks/"))]
    assert named and [name for name in named if not (paths.ROOT / name).is_file()] == []


# ---------------------------------------------------------------------- really launched


@pytest.mark.slow
def test_two_nodes_with_a_process_each_find_each_other(tmp_path):
    """The script, accelerate and gloo for real; only SLURM is played."""
    program = tmp_path / "program.py"
    program.write_text(
        "from pathlib import Path\n"
        "from accelerate import PartialState\n"
        "from accelerate.utils import gather_object\n"
        "state = PartialState(cpu=True)\n"
        "found = gather_object([state.process_index])\n"
        "Path(f'rank{state.process_index}').write_text(f'{found} of {state.num_processes}')\n"
        "state.wait_for_everyone()\n"
        "state.destroy_process_group()\n",  # gloo sometimes aborts at exit without this
        encoding="utf-8",
    )
    config = paths.CONFIG / "accelerate/multi-gpu.yaml"
    done, _ = submit(
        tmp_path, "train.sh", "program.py", real=("accelerate",),
        SLURM_NNODES="2", SLURM_GPUS_ON_NODE="1", SLURM_JOB_NODELIST="localhost,localhost",
        ACCELERATE_CONFIG=str(config), OMP_NUM_THREADS="1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for rank in (0, 1):
        assert (tmp_path / f"rank{rank}").read_text(encoding="utf-8") == "[0, 1] of 2"
