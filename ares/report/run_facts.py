"""What a reader wants to know about a run: its size, code, machine, time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ares.report import words


def facts(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and text of every fact, from the manifest alone; what it does not hold is said so.

    Its config is read as it was recorded: another version may have written it.
    """
    config = manifest["config"]
    return [
        ("Scale", config["scale"]),
        ("Problems", _problems(config)),
        ("Training", _training(config)),
        ("Intervals", _intervals(config)),
        ("Code", _code(manifest["commit"])),
        ("Machine", _machine(manifest["machine"])),
        ("Packages", ", ".join(f"{name} {v}" for name, v in manifest["packages"].items())),
        ("Time", _time(manifest)),
        ("Disk", _disk(manifest)),
    ]


def _problems(config: Mapping[str, Any]) -> str:
    drawn, tested = config["problems"], config["evaluation"]
    shown = " and ".join(drawn["presentations"])
    levels = f"of every level ({', '.join(drawn['levels'])})"
    base = f"base model {config['model']} ({config['world']})"
    return (
        f"{base}: {drawn['per_level']} problems {levels}, "
        f"as {shown}, {config['rollouts']['samples']} samples each; tests of all models: up to "
        f"{tested['per_level']} of every level, {tested['samples']} samples each"
    )


def _training(config: Mapping[str, Any]) -> str:
    aepo = config["aepo"]
    arms = ", ".join(f"{name} ({len(arm['seeds'])})" for name, arm in aepo["arms"].items())
    return (
        f"{aepo['steps']} batches of {aepo['prompts']} prompts, {aepo['updates']} updates each; "
        f"arms with their number of seeds: {arms}"
    )


def _intervals(config: Mapping[str, Any]) -> str:
    drawn = config["bootstrap"]["resamples"]
    return f"percentile bootstrap of {drawn:,} resamples, seed {config['seed']}"


def _code(commit: Mapping[str, Any] | None) -> str:
    if commit is None:
        return "commit not known: the run was made without git"
    changed = " with local changes" if commit["changed"] else ""
    return f"commit {commit['hash'][:12]}{changed}"


def _machine(machine: Mapping[str, Any]) -> str:
    processor = f"{machine['processor']}, " if machine.get("processor") else ""
    return (
        f"{processor}{machine['cores']} cores, {machine['system']} {machine['architecture']}, "
        f"Python {machine['python']}"
    )


def _time(manifest: Mapping[str, Any]) -> str:
    jobs = words.duration(sum(manifest["job_seconds"].values()))
    wall = manifest.get("wall_seconds")
    if wall is None:
        return f"{jobs} of jobs, one core each; wall time not recorded"
    return f"{words.duration(wall)} of wall time in which jobs ran; {jobs} of jobs, one core each"


def _disk(manifest: Mapping[str, Any]) -> str:
    sizes = {
        kind: sum(file["bytes"] for file in manifest[kind].values() if file)
        for kind in ("tables", "figures")
    }
    return f"tables {words.size(sizes['tables'])}, figures {words.size(sizes['figures'])}"


#: Names of jobs end with a shard, a model or a notebook.
_KIND = re.compile(r"[a-z]+(-(?=rates|records)[a-z]+)?")


def by_kind(job_seconds: Mapping[str, float]) -> list[tuple[str, list[float]]]:
    """Every kind of job, the dearest first, with the seconds of its jobs."""
    kinds: dict[str, list[float]] = {}
    for name, seconds in job_seconds.items():
        found = _KIND.match(name)
        kinds.setdefault(found[0] if found else name, []).append(seconds)
    return sorted(kinds.items(), key=lambda entry: -sum(entry[1]))


def times(job_seconds: Mapping[str, float]) -> list[tuple[str, int, str, str]]:
    """Every kind of job, the dearest first: its name, how many, total and longest time."""
    return [
        (kind, len(spent), words.duration(sum(spent)), words.duration(max(spent)))
        for kind, spent in by_kind(job_seconds)
    ]
