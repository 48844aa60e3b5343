"""Measures the memory of the server over many requests and file names."""

import gc
from pathlib import Path
from urllib.parse import quote

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

NAMES = [
    "a.mp4",
    "\"'`.mp4",
    "../../x.mp4",
    "<img src=x onerror=alert(1)>.mp4",
    "a\nb.mp4",
    "\u202egpj.mp4",
    ".",
    "é" * 200,
]
MOST_GROWTH = 12 * 2**20


def resident_bytes():
    gc.collect()
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS"):
            return 1024 * int(line.split()[1])
    raise AssertionError("VmRSS is missing")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system has no /proc")
def test_memory_does_not_grow_with_requests_and_names(demo, duet):
    identifier = demo.upload(duet)
    demo.wait(identifier, "done")
    result = f"/api/results/{identifier}"
    asked = [
        *("/", "/nothing", f"/results/{identifier}", "/static/mixer.css", "/api/results", result),
        *(f"{result}/{part}" for part in ("sounds/1.wav", "sounds.zip", "heat", "share?x=0.1&y=0.2", "steps?window=0")),
        f"{result}/place?x=0.3&y=0.5",
    ]

    def turn():
        for index in range(300):
            assert demo.ask("GET", asked[index % len(asked)])[0] < 500
        for index in range(50):
            name = f"{index} {NAMES[index % len(NAMES)]}"
            status, answer = demo.json("PUT", f"/api/videos?name={quote(name, safe='')}", bytes(20_000))
            assert 400 <= status < 500 and answer["error"]

    turn()
    before = resident_bytes()
    for _ in range(2):
        turn()
    assert resident_bytes() - before < MOST_GROWTH
    assert [record.id for record in demo.store.records()] == [identifier]
