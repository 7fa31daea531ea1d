"""What the repository says of itself, and what is said where it can't."""

from __future__ import annotations

import subprocess

import pytest

from ares import manifest


def test_without_git_there_is_no_commit_and_no_error(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert manifest.git("rev-parse", "HEAD") is None
    assert manifest.commit() is None


def test_a_folder_that_is_no_repository_has_no_commit(monkeypatch, tmp_path):
    monkeypatch.setattr(manifest, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert manifest.git("rev-parse", "HEAD") is None


def test_the_commit_is_that_of_git(monkeypatch, tmp_path):
    try:
        for words in (
            ["init", "--quiet"],
            ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x", "--allow-empty"],
        ):
            subprocess.run(["git", *words], cwd=tmp_path, check=True)
    except FileNotFoundError:
        pytest.skip("there is no git here")
    monkeypatch.setattr(manifest, "ROOT", tmp_path)
    made = manifest.commit()
    assert len(made["hash"]) == 40 and not made["changed"]
    (tmp_path / "new").touch()
    assert manifest.commit()["changed"]
