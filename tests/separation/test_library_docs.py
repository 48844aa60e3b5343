"""Runs the examples of docs/LIBRARY.md, with the oracle instead of the networks."""

import re

from mpnet_jax.separation import separator as module
from tests.separation.conftest import duet
from tests.support.repository import ROOT
from tests.support.tiny_videos import write_video


def test_the_examples_run(tmp_path, model, oracle, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "load", lambda _: model)
    monkeypatch.setattr(module, "load_namer", lambda: None)
    low, high = duet(8000, 2.0, 1)
    write_video(tmp_path / "concert.mp4", seconds=2.0, rate_hz=8000, sound=low + 0.9 * high)
    examples = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs" / "LIBRARY.md").read_text(encoding="utf-8"), re.M | re.S
    )
    assert len(examples) == 5
    names: dict[str, object] = {}
    for example in examples:
        exec(example, names)  # noqa: S102
    assert {"out", "kept", "written"} < {path.name for path in tmp_path.iterdir()}
    assert "100 %" in capsys.readouterr().out
