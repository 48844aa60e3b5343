import json

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.plus_headroom import VARIANTS, perfect_share, true_sounds
from tests.support import tiny_run


def test_a_perfect_plus_net_restores_what_is_lacking_and_available():
    truth, solo, remix, mixture = (
        jnp.array([x]) for x in ([3.0, 3.0, 1.0, 9.0], [1.0, 1.0, 2.0, 2.0], [4.0, 1.0, 3.0, 9.0], [4.0, 4.0, 4.0, 4.0])
    )
    # Enough available; too little available; too much taken already; more than the mixture, the upper limit.
    np.testing.assert_allclose(perfect_share(truth, solo, remix, mixture) * mixture, [[3.0, 2.0, 2.0, 4.0]])


def test_a_later_sound_is_limited_by_the_remaining_mixture():
    truth = jnp.array([[[3.0, 3.0]], [[2.0, 0.5]], [[1.0, 1.0]]])
    np.testing.assert_allclose(true_sounds(truth, jnp.array([[4.0, 4.0]])), [[[3.0, 3.0]], [[1.0, 0.5]], [[0.0, 0.5]]])


def test_of_a_trained_run(tiny_set, tmp_path):
    workdir, file = tmp_path / "run", tmp_path / "headroom.json"
    config = f"--config={tiny_run.config_file(tmp_path, tiny_set)}"
    rounds = [f"--config.rounds.{name}=2" for name in ("minus", "plus")]
    status, output = tiny_run.run("mpnet_jax.train", config, *rounds, "--config.mask=ratio", f"--workdir={workdir}")
    assert status == 0, output
    arguments = (f"--workdir={workdir}", f"--json={file}", f"--data_dir={tiny_set}")
    status, output = tiny_run.run("benchmarks.plus_headroom", *arguments)
    assert status == 0, output
    found = json.loads(file.read_text())
    scores = found["scores"]["all"]
    means = {name: scores[name]["nsdr"]["mean"] for name in VARIANTS}
    assert means["perfect"] > max(means["minus"], means["learnt"])
    assert scores["learnt - minus"]["nsdr"]["mean"] == pytest.approx(means["learnt"] - means["minus"])
    assert scores["minus"]["sir"]["count"] == 4
    parts = [found["scores"][kind]["minus"]["nsdr"] for kind in ("in order", "out of order")]
    assert parts[0]["count"] == round(4 * found["share_in_order"]["mean"])
    assert sum(part["count"] * (part["mean"] or 0.0) for part in parts) == pytest.approx(4 * means["minus"])


def test_refuses_a_folder_without_a_run(tmp_path):
    arguments = (f"--workdir={tmp_path}", f"--json={tmp_path / 'x.json'}")
    status, output = tiny_run.run("benchmarks.plus_headroom", *arguments)
    assert status == 2 and "holds no run" in output
