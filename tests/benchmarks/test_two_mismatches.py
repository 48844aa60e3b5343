import json

import numpy as np
import pytest
from absl import flags

from benchmarks import two_mismatches


@pytest.fixture(scope="module")
def found():
    return two_mismatches.two_mismatches()[0]


def test_equal_ssim_and_different_sdr(found):
    speaker, trumpet = found.values()
    assert speaker.ssim == pytest.approx(trumpet.ssim, abs=0.01)
    assert 50 < speaker.ssim < 99
    assert speaker.sdr > trumpet.sdr + 30


def test_the_truth_has_full_ssim(found):
    violin = two_mismatches.solo("violin", 0)
    assert two_mismatches.ssim(violin, violin) == pytest.approx(100.0)
    assert np.sqrt(np.mean(np.square(violin))) == pytest.approx(0.1)


def test_writes_numbers_and_a_picture(found, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(two_mismatches, "two_mismatches", lambda: (found, two_mismatches.solo("violin", 0)))
    values = flags.FlagValues()
    flags.DEFINE_string("json", str(tmp_path / "out.json"), "", flag_values=values)
    flags.DEFINE_string("picture", str(tmp_path / "docs" / "out.png"), "", flag_values=values)
    values(["program"])
    monkeypatch.setattr(flags, "FLAGS", values)
    two_mismatches.main()
    written = json.loads((tmp_path / "out.json").read_text())
    assert {name: e["sdr"] for name, e in written["estimates"].items()} == {n: e.sdr for n, e in found.items()}
    assert (tmp_path / "docs" / "out.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.count("SSIM") == 2
