"""Tests of the provenance in a results file."""

import shutil
import subprocess
from pathlib import Path

import pytest

from mpnet_jax.run.facts import commit_of, run_facts
from tests.support.repository import ROOT

GIT = shutil.which("git")


def git(root: Path, *arguments: str) -> str:
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    call = [str(GIT), *author, "-C", str(root), *arguments]
    return subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.skipif(GIT is None, reason="needs git")
def test_changed_code_marks_the_commit_as_dirty_and_changed_results_do_not(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    code, results = tmp_path / "code.py", tmp_path / "results" / "results.md"
    results.parent.mkdir()
    code.write_text("a = 1\n")
    results.write_text("1\n")
    assert commit_of(tmp_path) == "unknown"  # nothing is committed
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=Begin")
    commit = git(tmp_path, "rev-parse", "HEAD")[:12]
    assert commit_of(tmp_path) == commit
    results.write_text("2\n")
    (tmp_path / "notes.txt").write_text("an untracked file\n")
    assert commit_of(tmp_path) == commit
    code.write_text("a = 2\n")
    assert commit_of(tmp_path) == f"{commit}-dirty"


def test_a_folder_that_is_no_checkout_has_no_commit(tmp_path: Path) -> None:
    assert commit_of(tmp_path) == "unknown"


def test_a_run_records_the_commit_of_its_checkout() -> None:
    assert run_facts()["commit"] == commit_of(ROOT)
