import json

import numpy as np
import pytest

from benchmarks.plus_variants import THRESHOLDS, summary
from tests.support import tiny_run


def of_run(mnet, mpnet, best="0.5"):
    """Scores of a run whose MP-Net is as good as its M-Net with all thresholds but one."""
    scores = {name: dict.fromkeys(("nsdr", "sir", "sar"), mnet) for name in ("mnet", *THRESHOLDS)}
    scores[best] = dict.fromkeys(("nsdr", "sir", "sar"), mpnet)
    return {"by_mixture": {"2": {"videos": [["a", "b"], ["c", "d"]]} | scores}}


def test_differences_are_paired_over_the_mixtures_of_all_runs():
    runs = [of_run([1.0, None], [2.0, 5.0]), of_run([3.0, 4.0], [3.5, 4.5])]
    together = summary(runs, [2])
    assert together["threshold"] == 0.5 and together["nsdr_by_threshold"]["0.5"] == 3.75
    found = together["2"]
    assert found["default_difference"]["nsdr"]["mean"] == 0.0
    assert found["mnet"]["nsdr"]["mean"] == pytest.approx(8 / 3) and found["mpnet"]["sar"]["mean"] == 3.75
    assert found["difference"]["nsdr"]["mean"] == pytest.approx(2 / 3) and found["difference"]["nsdr"]["count"] == 3
    low, high = found["difference"]["nsdr"]["ci95"]
    assert 0.5 <= low <= high <= 1.0


@pytest.mark.slow
def test_trains_on_m_nets_and_repeats_nothing(tiny_set, tmp_path):
    config = f"--config={tiny_run.config_file(tmp_path, tiny_set)}"
    fields = ("--config.rounds.minus=2", "--config.mask=ratio", "--config.model.frame_net_trained=nothing")
    status, output = tiny_run.run("mpnet_jax.train", config, *fields, f"--workdir={tmp_path / 'mnet'}")
    assert status == 0, output
    arguments = [
        f"--mnets={tmp_path / 'mnet'}",
        "--variant=looks_sweeps",
        "--plus_steps=2",
        f"--runs={tmp_path / 'runs'}",
        f"--data_dir={tiny_set}",
    ]
    found = []
    for number in range(2):
        file = tmp_path / f"{number}.json"
        status, output = tiny_run.run("benchmarks.plus_variants", *arguments, f"--json={file}")
        assert status == 0, output
        found.append(json.loads(file.read_text()))
        assert ("step 2/2" in output) == (number == 0)
    one, other = ({name: each[name] for name in ("runs", "together", "changes")} for each in found)
    assert one == other
    assert one["changes"]["recursion.plus_passes"] == 2
    assert one["together"]["threshold"] in map(float, THRESHOLDS)
    for number in ("2", "3"):
        scores = one["together"][number]
        difference = scores["mpnet"]["nsdr"]["mean"] - scores["mnet"]["nsdr"]["mean"]
        assert np.isclose(scores["difference"]["nsdr"]["mean"], difference)
    refused = [f"--mnets={tmp_path / 'runs' / 'looks_sweeps-mnet'}", *arguments[1:], f"--json={tmp_path / 'x.json'}"]
    status, output = tiny_run.run("benchmarks.plus_variants", *refused)
    assert status == 2 and "give runs of config.method=mpnet with rounds.plus=0 and rounds.both=0" in output
    status, output = tiny_run.run("benchmarks.plus_variants", *arguments, "--variant=best", f"--json={file}")
    assert status == 2 and "--variant='best' is unknown; use one of paper, begins" in output
