"""Tests of claims: a name has one owner, and a dead claim is taken over once."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mpnet_jax.comparison import claims as claims_module
from mpnet_jax.comparison.claims import Claims


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    return Claims(tmp_path / "claims", takeover_seconds=60.0)


def rewrite(claims: Claims, name: str, **facts) -> Path:
    """Changes the owner of a name's claim."""
    (path,) = claims.folder.glob(f"{name}.[0-9]*")
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))
    return path


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_name_has_one_owner_until_released(claims: Claims) -> None:
    mine = claims.take("a-rate0.001")
    assert mine is not None and claims.take("a-rate0.001") is None
    assert claims.take("a-rate0.002") is not None
    assert claims.held() == ["a-rate0.001", "a-rate0.002"]
    mine.release()
    assert claims.held() == ["a-rate0.002"]
    assert claims.take("a-rate0.001") is not None


def test_a_claim_of_a_dead_local_process_is_taken_over_at_once(claims: Claims) -> None:
    claims.take("a")
    rewrite(claims, "a", pid=ended_process())
    assert claims.held() == []
    assert claims.take("a") is not None
    assert claims.take("a") is None


def test_a_reused_process_id_does_not_hold_the_claim(claims: Claims) -> None:
    claims.take("a")
    rewrite(claims, "a", started="1")
    assert claims.take("a") is not None


def test_a_child_that_outlives_its_parent_holds_the_claim(claims: Claims) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    mine = claims.take("a")
    assert mine is not None
    mine.note_child(child.pid)
    rewrite(claims, "a", pid=ended_process())
    assert claims.take("a") is None
    child.communicate(b"\n")
    assert claims.take("a") is not None


def test_an_untouched_claim_of_another_machine_is_taken_over(claims: Claims) -> None:
    claims.take("a")
    path = rewrite(claims, "a", machine="elsewhere", pid=1)
    assert claims.take("a") is None
    silent_since = time.time() - 61
    os.utime(path, (silent_since, silent_since))
    assert claims.take("a") is not None


def test_a_beat_renews_the_claim_and_reports_a_takeover(claims: Claims, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims_module, "BEAT_SECONDS", 0.0)
    mine = claims.take("a")
    assert mine is not None
    path = rewrite(claims, "a", machine="elsewhere")
    os.utime(path, (0, 0))
    assert mine.beat()
    assert claims.take("a") is None  # renewed
    os.utime(path, (0, 0))
    assert claims.take("a") is not None
    assert not mine.beat()


def test_only_one_process_takes_over_a_dead_claim(claims: Claims) -> None:
    claims.take("a")
    rewrite(claims, "a", pid=ended_process())
    start, got = threading.Barrier(16), []

    def want() -> None:
        start.wait()
        got.append(claims.take("a"))

    threads = [threading.Thread(target=want) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([claim for claim in got if claim is not None]) == 1


def test_without_links_a_claim_that_is_not_yet_written_is_held(claims: Claims, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", no_links)
    assert claims.take("a") is not None
    assert claims.take("a") is None
    (claims.folder / "b.1").touch()
    assert claims.take("b") is None
    os.utime(claims.folder / "b.1", (0, 0))
    assert claims.take("b") is not None
    assert {path.name for path in claims.folder.iterdir()} == {"a.1", "b.1", "b.2"}
