"""What git says of this copy of the repository, where there is a git and a repository."""

from __future__ import annotations

import subprocess

from ares.paths import ROOT


def git(*arguments: str) -> str | None:
    """Return what a git command prints, or None where there is no git or no repository."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
