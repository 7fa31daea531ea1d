"""The real workflow on a disk that is too small, and eight at once in one checkout.

`make test-crashes`.
"""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.robustness.conftest import MANY
from tests.robustness.disks import on_small_disk
from tests.robustness.harness import SCALE, hashes, notes, start, temporaries
from tests.workflow.test_reruns import command_line, environment, planned

pytestmark = [pytest.mark.crashes, pytest.mark.timeout(6 * 3600)]

#: Sizes of the disk, in KiB: one after another, as somebody would make room.
SIZES = (8, 40, 160, 1000, 3500, 9000, 20000, 64000)
TARGET = f"results/{SCALE}/models/ares-s1"
GROW = f"""
disk=results/{SCALE}
for size in {" ".join(map(str, SIZES))}; do
    mount -o remount,size=${{size}}k small $disk
    "$@" > $size.log 2>&1; echo $? >> codes.txt
done
mount -o remount,ro $disk
"$@" --forceall > read-only.log 2>&1; echo $? >> codes.txt
cp -R $disk results/kept
"""


def test_on_a_full_disk_every_run_says_so_and_with_room_it_goes_on(undisturbed, fresh):
    place = fresh()
    (place / f"results/{SCALE}").mkdir(parents=True)
    command = command_line(place, TARGET, "--cores", "1", scale=SCALE)
    inside = on_small_disk(place / f"results/{SCALE}", "8k", "sh", "-c", GROW, "sh", *command)
    subprocess.run(inside, cwd=place, env=environment(place), check=True)
    codes = [int(code) for code in (place / "codes.txt").read_text().split()]
    assert codes[0] == 1 and codes[-2] == 0 and codes[-1] == 1
    for size, code in zip(SIZES, codes, strict=False):
        said = (place / f"{size}.log").read_text()
        errors = dict.fromkeys(re.findall(r"ares: error: .*", said))
        print(f"{size} KiB: status {code}", *errors, sep="\n  ", flush=True)
        told = re.search("No space left on device|a state could not be written: disk full", said)
        assert code == 0 or told, said[-3000:]
        assert "Traceback" not in said
    # Snakemake's own words for results that are there; ours for new ones: test_workflow_kills.py.
    assert "Write-protected output files" in (place / "read-only.log").read_text()
    kept, expected = hashes(place, "kept"), hashes(undisturbed)
    assert len(kept) > 5
    wrong = [n for n in kept if kept[n] != expected[n.replace("results/kept", f"results/{SCALE}")]]
    assert wrong == []
    assert temporaries(place) == []


def test_eight_workflows_in_one_checkout_make_what_one_makes(undisturbed, fresh):
    place = fresh()
    runs = {scale: start(place, scale, 1, log=f"{scale}.log") for scale in MANY}
    for scale, run in runs.items():
        assert run.wait(timeout=3 * 3600) == 0, (place / f"{scale}.log").read_text()[-3000:]
    outputs = [note.output for note in notes(place) if note.event == "start"]
    assert len(outputs) == len(set(outputs)), "a job ran twice"
    expected = hashes(undisturbed)
    for scale in MANY:
        made = {name.replace(scale, SCALE, 1): it for name, it in hashes(place, scale).items()}
        assert made.keys() == expected.keys()
        assert [name for name in made if made[name] != expected[name]] == []
    assert planned(place, MANY[0]) == {}
    assert temporaries(place) == []
