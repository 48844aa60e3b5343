"""Shows two errors of equal SSIM but different SDR: `python -m benchmarks.two_mismatches --json=FILE`.

Reproduces the paper's Fig. 2 with rendered sounds. One estimate of a violin is the violin through a small loudspeaker:
the complete sound with another timbre. The other is the violin mixed with a trumpet, whose level gives both estimates
the same SSIM, the measure within AMID. BSS Eval forgives what a filter of 512 taps can undo, so the two SDRs differ by
tens of decibels. `--picture=FILE.png` draws the three spectrograms.
"""

import dataclasses
import io
import sys
from pathlib import Path
from typing import Any

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
from data_pipeline.spec import AudioSpec
from data_pipeline.spectrogram import stft
from mpnet_jax.metrics import amid as amid_metric
from mpnet_jax.metrics.bss_eval import bss_eval

RATE_HZ = 16_000
SAMPLES = 95_800
AUDIO = AudioSpec(RATE_HZ, SAMPLES, fft_samples=1500, hop_samples=375, pad_mode="constant")
# Passband of the loudspeaker, with slopes that 512 taps can almost undo.
_SPEAKER_HZ = (500.0, 3000.0)

Wave = Float[np.ndarray, " samples"]


@dataclasses.dataclass(frozen=True)
class Estimate:
    """An estimate of the violin with its scores.

    Attributes:
        waveform: Waveform (samples,).
        ssim: SSIM of its spectrogram and the truth's, as within AMID, times 100.
        sdr: SDR of BSS Eval in dB.
    """

    waveform: Wave
    ssim: float
    sdr: float


def solo(name: str, seed: int) -> Wave:
    """Renders a solo with a root mean square of 0.1; the additive synthesiser is the same on every machine."""
    rng = np.random.default_rng(seed)
    seconds = SAMPLES / RATE_HZ + 1.0
    notes, _ = arrange.compose_solo(INSTRUMENTS[name], rng, seconds=seconds)
    wave = synthesise_additive(name, notes, rng, seconds=seconds, rate_hz=RATE_HZ, cents=0.0)[:SAMPLES]
    return 0.1 * wave / np.sqrt(np.mean(np.square(wave)))


def spectrogram(wave: Wave) -> Float[np.ndarray, "freq time"]:
    """Returns linear magnitudes at the paper's sizes."""
    return np.abs(stft(wave.astype(np.float32), AUDIO))


def ssim(truth: Wave, estimate: Wave) -> float:
    """Returns the SSIM of two sounds' spectrograms as AMID computes it, times 100."""
    one, other = spectrogram(estimate), spectrogram(truth)
    # AMID of two equal pairs is the SSIM of one.
    return amid_metric.amid(np.stack([one, one]), np.stack([other, other]))


def small_loudspeaker(wave: Wave) -> Wave:
    """Filters a sound to a band and restores its level."""
    sections = scipy.signal.butter(1, _SPEAKER_HZ, "bandpass", fs=RATE_HZ, output="sos")
    out = scipy.signal.sosfilt(sections, wave)
    return out * np.sqrt(np.mean(np.square(wave)) / np.mean(np.square(out)))


def two_mismatches() -> tuple[dict[str, Estimate], Wave]:
    """Returns the violin's two estimates, which have equal SSIM, and the violin."""
    violin, trumpet = solo("violin", 0), solo("trumpet", 1)
    filtered = small_loudspeaker(violin)
    wanted = ssim(violin, filtered)
    low, high = 0.0, 10.0  # SSIM falls as the trumpet gets louder
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
    """Draws the spectrograms of the truth and the estimates as AMID compares them."""
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
    # A palette image has a third of the size.
    Image.open(picture).convert("RGB").quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """Runs the comparison."""
    path = record.check_file(flags.FLAGS.json)
    found, truth = two_mismatches()
    if flags.FLAGS.picture:
        draw(Path(flags.FLAGS.picture), found, truth)
    results: dict[str, Any] = {name: {"ssim": e.ssim, "sdr": e.sdr} for name, e in found.items()}
    record.write(path, {"estimates": results})
    for name, values in results.items():
        sys.stdout.write(f"{name:<28} SSIM {values['ssim']:6.2f}   SDR {values['sdr']:6.2f} dB\n")


if __name__ == "__main__":
    command.define_path("json", None, "JSON file for the results.")
    command.define_path("picture", None, "PNG file to draw.")
    command.run(main)
