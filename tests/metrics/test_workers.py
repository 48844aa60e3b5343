import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from mpnet_jax.metrics.amid import amid
from mpnet_jax.metrics.bss_eval import bss_eval
from mpnet_jax.metrics.workers import Job, score_mixtures


def jobs(count, samples=1500):
    rng = np.random.default_rng(0)
    for _ in range(count):
        reference = rng.standard_normal((2, samples)).astype(np.float32)
        noisy = (reference + 0.2 * rng.standard_normal(reference.shape)).astype(np.float32)
        yield Job(reference, {"separation": noisy, "swapped": noisy[::-1].copy()})


def test_inline_is_bss_eval():
    results = list(score_mixtures(jobs(3), workers=0))
    for (reference, variants, *_), result in zip(jobs(3), results, strict=True):
        assert list(result) == ["separation", "swapped"]
        expected = bss_eval(reference, np.stack(list(variants.values())))
        for row, scores in enumerate(result.values()):
            np.testing.assert_array_equal(scores.sdr, expected.sdr[row])
            np.testing.assert_array_equal(scores.sar, expected.sar[row])
            assert scores.reason == ("", "")


def test_amid_is_scored_where_magnitudes_are_given():
    (job,) = jobs(1)
    magnitudes = np.random.default_rng(1).uniform(size=(2, 2, 16, 16))
    (result,) = score_mixtures(
        [job._replace(true_magnitude=magnitudes[0], magnitudes={"swapped": magnitudes[1]})], workers=0
    )
    assert result["swapped"].amid == amid(magnitudes[1], magnitudes[0])
    assert np.isnan(result["separation"].amid)


def test_a_mixture_without_variants():
    reference = np.ones((2, 1500), np.float32)
    assert list(score_mixtures([Job(reference, {})], workers=1)) == [{}]


def test_arguments_are_checked_before_the_first_job():
    with pytest.raises(ValueError, match=r"method='x' is unknown; choose one of fft, mir_eval"):
        score_mixtures([], workers=0, method="x")
    with pytest.raises(ValueError, match="workers=-1 must not be negative"):
        score_mixtures([], workers=-1)


def test_an_error_in_a_job_is_raised():
    reference = np.ones((2, 1500), np.float32)
    with pytest.raises(ValueError, match="source and samples must be the same"):
        list(score_mixtures([Job(reference, {"a": np.ones((2, 9), np.float32)})], workers=1))


def test_the_order_of_jobs_does_not_change_the_results():
    some = list(jobs(4))
    forward = [result["separation"].sdr for result in score_mixtures(some, workers=1)]
    backward = [result["separation"].sdr for result in score_mixtures(some[::-1], workers=1)]
    np.testing.assert_array_equal(forward, backward[::-1])


SCRIPT = """
import os, sys
print("main", flush=True)  # once, unless a worker runs this file again
import numpy as np
from mpnet_jax.metrics.workers import Job, score_mixtures

taken = []
def jobs():
    rng = np.random.default_rng(0)
    for index in range(9):
        taken.append(index)
        reference = (index + 1) * rng.standard_normal((2, 1500))
        if index == 4:
            reference[0] = 0.0
        yield Job(reference, {"a": reference + rng.standard_normal((2, 1500))})

before, main = dict(os.environ), sys.modules["__main__"]
results = []
for result in score_mixtures(jobs(), workers=2):
    results.append(result["a"])
    assert len(taken) <= len(results) + 6, "jobs are taken far ahead"
assert dict(os.environ) == before and sys.modules["__main__"] is main
for one, other in zip(results, (result["a"] for result in score_mixtures(jobs(), workers=1)), strict=True):
    for ratio in ("sdr", "sir", "sar"):
        np.testing.assert_array_equal(getattr(one, ratio), getattr(other, ratio))  # to the last bit
levels = [scores.sdr.mean() for scores in results]
assert results[4].reason == ("silent reference",) * 2
del levels[4]
assert levels == sorted(levels), levels
early = score_mixtures(jobs(), workers=2)
next(early)
early.close()
loaded = {"jax", "tensorflow", "librosa", "matplotlib", "flax"} & set(sys.modules)
assert not loaded, loaded
"""


def test_worker_processes(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment, timeout=100)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "main\n"


def test_every_metric_loads_without_the_heavy_libraries():
    code = (
        "import sys, mpnet_jax.metrics.amid, mpnet_jax.metrics.aggregate, mpnet_jax.metrics.si_sdr\n"
        "import mpnet_jax.metrics.workers\n"
        "print({'jax', 'tensorflow', 'librosa', 'matplotlib', 'flax'} & set(sys.modules))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (0, "set()\n", "")
