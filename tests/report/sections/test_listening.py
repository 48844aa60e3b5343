import io
import wave

import numpy as np
import pytest

from mpnet_jax.report.sections.listening import common_gain, wav_bytes


def test_one_gain_keeps_levels_comparable():
    loud, soft = np.array([0.5, -2.0]), np.array([[0.1], [0.2]])
    assert common_gain([loud, soft]) == pytest.approx(0.485)
    assert common_gain([np.zeros(3)]) == 1.0
    assert common_gain([]) == 1.0


def test_samples_survive():
    waveform = np.array([0.0, 0.5, -0.5, 3.0, np.nan, np.inf])
    with wave.open(io.BytesIO(wav_bytes(waveform, 11025, gain=1.0))) as reader:
        assert (reader.getframerate(), reader.getnchannels(), reader.getsampwidth()) == (11025, 1, 2)
        samples = np.frombuffer(reader.readframes(99), "<i2")
    np.testing.assert_array_equal(samples, [0, 16384, -16384, 32767, 0, 0])
