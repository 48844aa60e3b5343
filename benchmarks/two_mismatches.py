"""Two mismatches that SSIM calls alike and SDR calls far apart: `python -m benchmarks.two_mismatches --json=FILE`.

The paper's Fig. 2, made anew with sounds that everyone can render. One estimate of a violin is the violin as heard
through a small loudspeaker: all of it is there, with another colour. The other is the violin with a trumpet under it,
as loud as makes the two spectrograms equally unlike the truth by SSIM, the measure within AMID. BSS Eval forgives what
a filter of 512 taps can undo, so it tells them apart by tens of decibels. `--picture=FILE.png` draws the three.
"""

import dataclasses
import io
import sys
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import scipy.signal
from absl import flags
from jaxtyping import Float
from PIL import Image

from benchmarks.harness import record
from data_pipeline import command
from data_pipeline.rendered.sound import arrange
from data_pipeline.rendered.sound.additive import synthesise_additive
from data_pipeline.rendered.sound.instruments import INSTRUMENTS
from mpnet_jax.metrics import amid as amid_metric
from mpnet_jax.metrics.bss_eval import bss_eval

RATE_HZ = 16_000
SAMPLES = 95_800
FFT, HOP = 1500, 375
# The loudspeaker passes these, with slopes that 512 taps can undo nearly whole.
_SPEAKER_HZ = (500.0, 3000.0)

Wave = Float[np.ndarray, " samples"]


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A waveform that claims to be the violin, and what two measures say of it.

    Attributes:
        waveform: (samples,).
        ssim: of its spectrogram and the truth's, as within AMID, times 100.
        sdr: BSS Eval's, in dB.
    """

    waveform: Wave
    ssim: float
    sdr: float


def solo(name: str, seed: int) -> Wave:
    """A rendered solo of root-mean-square 0.1; the additive synthesiser is the same on every machine."""
    rng = np.random.default_rng(seed)
    seconds = SAMPLES / RATE_HZ + 1.0
    notes, _ = arrange.compose_solo(INSTRUMENTS[name], rng, seconds=seconds)
    wave = synthesise_additive(name, notes, rng, seconds=seconds, rate_hz=RATE_HZ, cents=0.0)[:SAMPLES]
    return 0.1 * wave / np.sqrt(np.mean(np.square(wave)))


def spectrogram(wave: Wave) -> Float[np.ndarray, "freq time"]:
    """Linear magnitudes at the paper's sizes."""
    return np.abs(librosa.stft(wave, n_fft=FFT, hop_length=HOP))


def ssim(truth: Wave, estimate: Wave) -> float:
    """AMID's picture likeness of one sound and another, times 100."""
    one, other = spectrogram(estimate), spectrogram(truth)
    # AMID of two equal pairs is the likeness of one.
    return amid_metric.amid(np.stack([one, one]), np.stack([other, other]))


def small_loudspeaker(wave: Wave) -> Wave:
    """A band of the sound, at the level of the whole."""
    sections = scipy.signal.butter(1, _SPEAKER_HZ, "bandpass", fs=RATE_HZ, output="sos")
    out = scipy.signal.sosfilt(sections, wave)
    return out * np.sqrt(np.mean(np.square(wave)) / np.mean(np.square(out)))


def two_mismatches() -> tuple[dict[str, Estimate], Wave]:
    """The violin's two estimates, of one likeness by SSIM, and the violin."""
    violin, trumpet = solo("violin", 0), solo("trumpet", 1)
    filtered = small_loudspeaker(violin)
    wanted = ssim(violin, filtered)
    low, high = 0.0, 10.0  # likeness falls as the trumpet rises
    for _ in range(30):
        gain = 0.5 * (low + high)
        low, high = (gain, high) if ssim(violin, violin + gain * trumpet) > wanted else (low, gain)
    mixed = violin + 0.5 * (low + high) * trumpet
    waves = {"through a small loudspeaker": filtered, "with a trumpet under it": mixed}
    estimates = np.stack([np.stack([wave, trumpet]) for wave in waves.values()])
    sdr = bss_eval(np.stack([violin, trumpet]), estimates).sdr[:, 0]
    found = {
        name: Estimate(wave, ssim(violin, wave), float(value))
        for (name, wave), value in zip(waves.items(), sdr, strict=True)
    }
    return found, violin


def draw(path: Path, found: dict[str, Estimate], truth: Wave) -> None:
    """Draws the truth and the estimates as AMID sees them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 2.9), layout="constrained", dpi=120)
    panels = {"the violin": (truth, "")} | {
        name: (e.waveform, f"SSIM {e.ssim:.0f}   SDR {e.sdr:.1f} dB") for name, e in found.items()
    }
    for axes, (name, (wave, numbers)) in zip(figure.subplots(1, len(panels), sharey=True), panels.items(), strict=True):
        picture = np.minimum(200 * np.log10(1 + spectrogram(wave)), 255)
        extent = (0.0, SAMPLES / RATE_HZ, 0.0, RATE_HZ / 2000)
        axes.imshow(picture, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=0, vmax=255)
        axes.set_title(f"{name}\n{numbers}", fontsize=9)
        axes.set_xlabel("seconds", fontsize=8)
        axes.tick_params(labelsize=8)
    figure.axes[0].set_ylabel("kHz", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    # A palette is enough, in a third of the bytes.
    Image.open(picture).convert("RGB").quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """The command."""
    path = record.check_file(flags.FLAGS.json)
    found, truth = two_mismatches()
    if flags.FLAGS.picture:
        draw(Path(flags.FLAGS.picture), found, truth)
    results: dict[str, Any] = {name: {"ssim": e.ssim, "sdr": e.sdr} for name, e in found.items()}
    record.write(path, {"estimates": results})
    for name, values in results.items():
        sys.stdout.write(f"{name:<28} SSIM {values['ssim']:6.2f}   SDR {values['sdr']:6.2f} dB\n")


if __name__ == "__main__":
    flags.DEFINE_string("json", None, "File to write.")
    flags.DEFINE_string("picture", None, "PNG to draw.")
    command.run(main)
