"""workflow/scripts/on_free_gpus.sh: every command gets GPUs of its own, with nvidia-smi played."""

from __future__ import annotations

import os
import subprocess

import pytest

from ares.paths import ROOT

SCRIPT = ROOT / "workflow/scripts/on_free_gpus.sh"


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """Four GPUs, and locks that no other test sees."""
    (tmp_path / "bin").mkdir()
    smi = tmp_path / "bin/nvidia-smi"
    smi.write_text('#!/usr/bin/env bash\nfor i in 0 1 2 3; do echo "$i, GPU-uuid-$i"; done\n')
    smi.chmod(0o755)
    path = f"{smi.parent}:{os.environ['PATH']}"
    return {"PATH": path, "ARES_GPU_LOCKS": str(tmp_path / "locks")}


def run(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["bash", str(SCRIPT), *words], env=environment, capture_output=True, text=True, timeout=60
    )


SHOW = ("bash", "-c", 'echo "$CUDA_VISIBLE_DEVICES $CUDA_DEVICE_ORDER"')


def test_a_command_sees_as_many_as_it_wants(environment):
    assert run(environment, "1", *SHOW).stdout == "0 PCI_BUS_ID\n"
    assert run(environment, "3", *SHOW).stdout == "0,1,2 PCI_BUS_ID\n"


def test_it_keeps_to_those_that_its_caller_may_see(environment):
    for visible in ("2,3", "GPU-uuid-2,GPU-uuid-3"):
        limited = {**environment, "CUDA_VISIBLE_DEVICES": visible}
        assert run(limited, "2", *SHOW).stdout.split()[0] == "2,3"
        assert run(limited, "3", *SHOW).returncode == 1


def test_commands_side_by_side_take_different_ones_and_the_fifth_waits(environment, tmp_path):
    # Each notes its GPU, and stays until four are there.
    note = tmp_path / "notes"
    note.mkdir()
    stay = (
        'touch "$0/$CUDA_VISIBLE_DEVICES.$$"; '
        'until [[ $(ls "$0" | wc -l) -ge 4 ]]; do sleep 0.1; done; sleep 0.5'
    )
    jobs = [
        subprocess.Popen(["bash", str(SCRIPT), "1", "bash", "-c", stay, str(note)], env=environment)
        for _ in range(5)
    ]
    assert [job.wait(timeout=60) for job in jobs] == [0] * 5
    taken = sorted(path.name.split(".")[0] for path in note.iterdir())
    assert len(taken) == 5 and set(taken) == {"0", "1", "2", "3"}


def test_the_status_of_the_command_is_passed_on_and_its_gpu_is_free_again(environment):
    assert run(environment, "4", "bash", "-c", "exit 7").returncode == 7
    assert run(environment, "4", "true").returncode == 0


@pytest.mark.parametrize(("words", "status", "told"), [
    ((), 2, "usage:"), (("0", "true"), 2, "usage:"), (("one", "true"), 2, "usage:"),
    (("5", "true"), 1, "5 GPUs wanted, 4 seen"),
])  # fmt: skip
def test_a_wrong_call_and_too_few_gpus_are_told(environment, words, status, told):
    done = run(environment, *words)
    assert done.returncode == status and done.stderr.startswith(told)
