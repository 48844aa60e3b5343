"""One mixture as a section of the page, with its pictures and sounds."""

import io
import wave
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from typing import SupportsFloat

import numpy as np
from jaxtyping import Float

from mpnet_jax.report.drawing.numbers import is_number, mean_of, number
from mpnet_jax.report.drawing.pictures import (
    MASK_COLORS,
    SOUND_COLORS,
    colormap_png,
    decibel_levels,
    frame_png,
    frequency_ticks,
    heat_png,
    time_ticks,
)
from mpnet_jax.report.example import ReportExample
from mpnet_jax.report.sections.places import heat_switch

# A function that writes a file into the report's media folder.
Save = Callable[[str, bytes], None]

_UNIT_FROM = 0.93
_SCORES = ("nsdr", "sdr", "sir", "sar")


@dataclass(frozen=True)
class _Plot:
    """What the pictures of one example share: file names, axes and the peak magnitude."""

    stem: str
    save: Save
    example: ReportExample
    peak: float
    axes: str

    def sound(self, name: str, magnitude: np.ndarray, *, caption: str, alt: str, player: str) -> str:
        levels = decibel_levels(magnitude, self.peak)
        return self._figure(name, levels, SOUND_COLORS, caption=caption, alt=alt, player=player)

    def mask(self, name: str, mask: np.ndarray, *, caption: str, alt: str) -> str:
        return self._figure(name, mask, MASK_COLORS, caption=caption, alt=alt, player="")

    def _figure(self, name: str, levels: np.ndarray, colors: str, *, caption: str, alt: str, player: str) -> str:
        path = f"{self.stem}-{name}.png"
        self.save(path, colormap_png(levels, self.example.row_hz, colors=colors))
        height, width = levels.shape
        return (
            f'<figure class="plot"><figcaption>{caption}</figcaption><div class="axes">{self.axes}'
            f'<div class="canvas"><img src="media/{path}" width="{width}" height="{height}" loading="lazy" '
            f'decoding="async" alt="{escape(alt)}"><i class="playhead"></i></div></div>{player}</figure>'
        )


def example_html(number_on_page: int, example: ReportExample, save: Save) -> str:
    """Draws one example and writes its files.

    Args:
        number_on_page: Number from 1, used in file names and in the anchor.
        example: The mixture to show.
        save: Called with (file name, content) of each picture and sound.

    Returns:
        An <article> whose links point into media/.
    """
    stem = f"example-{number_on_page:02d}"
    spectrograms = (example.mixture_spectrogram, example.separated_spectrogram, example.true_spectrogram)
    peak = max(float(np.nan_to_num(part, posinf=0.0).max()) for part in spectrograms)
    seconds = example.mixture_spectrogram.shape[1] * example.hop_seconds
    plot = _Plot(stem, save, example, peak, _axes(frequency_ticks(example.row_hz), time_ticks(seconds)))
    gain = common_gain([example.mixture_waveform, example.separated_waveform, example.true_waveform])

    def player(name: str, waveform: np.ndarray, label: str) -> str:
        path = f"{stem}-{name}.wav"
        save(path, wav_bytes(waveform, example.rate_hz, gain=gain))
        return f'<audio controls preload="metadata" src="media/{path}" aria-label="{escape(label)}"></audio>'

    names = " + ".join(example.classes)
    mixture = plot.sound(
        "mixture",
        example.mixture_spectrogram,
        caption="Mixture",
        alt=f"Spectrogram of the mixture of {names}",
        player=player("mixture", example.mixture_waveform, f"Mixture of {names}"),
    )
    sources = "".join(_source(index, example, plot, player) for index in range(len(example.classes)))
    mean = mean_of([scores.get("nsdr") for scores in example.scores])
    badge = f'<p class="badge">NSDR <b>{number(mean)}</b> dB</p>' if mean is not None else ""
    chips = "".join(
        f'<li class="chip source-{index % 5}">{escape(name)}</li>' for index, name in enumerate(example.classes)
    )
    switch = heat_switch() if example.heat is not None else ""
    return (
        f'<article class="example heatable" id="{stem}" data-seconds="{seconds:.4f}" aria-labelledby="{stem}-title">'
        f'<header><h3 id="{stem}-title">{escape(example.title)}</h3>'
        f'<ul class="chips">{chips}</ul>{switch}{badge}</header>'
        f'<div class="mixture">{mixture}</div>{sources}</article>'
    )


def _source(index: int, example: ReportExample, plot: _Plot, player: Callable[[str, np.ndarray, str], str]) -> str:
    name = example.classes[index]
    prefix = f"source-{index + 1}"
    scores = "".join(
        f"<div><dt>{key.upper()}</dt><dd>{_score(example.scores[index].get(key))}</dd></div>" for key in _SCORES
    )
    figures = [
        plot.sound(
            f"{prefix}-separated",
            example.separated_spectrogram[index],
            caption="Separated",
            alt=f"Spectrogram of the separated {name}",
            player=player(f"{prefix}-separated", example.separated_waveform[index], f"Separated {name}"),
        ),
        plot.sound(
            f"{prefix}-true",
            example.true_spectrogram[index],
            caption="Truth",
            alt=f"Spectrogram of the true {name}",
            player=player(f"{prefix}-true", example.true_waveform[index], f"True {name}"),
        ),
        plot.mask(f"{prefix}-mask", example.mask[index], caption="Predicted mask", alt=f"Predicted mask of {name}"),
        plot.mask(f"{prefix}-true-mask", example.true_mask[index], caption="True mask", alt=f"True mask of {name}"),
    ]
    return (
        f'<section class="source source-{index % 5}" aria-label="{escape(f"Source {index + 1}: {name}")}">'
        f'<div class="who">{_frame(index, example, plot)}<div><h4>{escape(name)}</h4>'
        f'<p class="video">{escape(example.video_ids[index])}</p><dl class="scores">{scores}</dl></div></div>'
        f'<div class="plots">{"".join(figures)}</div></section>'
    )


def _frame(index: int, example: ReportExample, plot: _Plot) -> str:
    """Returns a source's frame, with its heat map over it if there is one."""
    stem, name = f"{plot.stem}-source-{index + 1}", example.classes[index]
    height, width = example.frames.shape[1:3]
    size = f'width="{width}" height="{height}" loading="lazy" decoding="async"'
    plot.save(f"{stem}-frame.png", frame_png(example.frames[index]))
    heat = ""
    if example.heat is not None:
        plot.save(f"{stem}-heat.png", heat_png(example.heat[index], height=height, width=width))
        about = escape(f"Where in the frame the {name} sounds, as a heat map")
        heat = f'<img class="heatmap" src="media/{stem}-heat.png" {size} alt="{about}">'
    about = escape(f"Video frame of the {name}")
    return f'<div class="scene"><img src="media/{stem}-frame.png" {size} alt="{about}">{heat}</div>'


def _score(value: SupportsFloat | None) -> str:
    return number(value) + ('<span class="unit"> dB</span>' if is_number(value) else "")


def _axes(hz: list[tuple[float, str]], seconds: list[tuple[float, str]]) -> str:
    rows = "".join(f'<span style="bottom:{100 * place:.1f}%">{label}</span>' for place, label in hz)
    # The unit is printed at the right end.
    inside = [tick for tick in seconds if tick[0] <= _UNIT_FROM]
    columns = "".join(f'<span style="left:{100 * place:.1f}%">{label}</span>' for place, label in inside)
    return (
        f'<div class="hz" aria-hidden="true"><b>Hz</b>{rows}</div>'
        f'<div class="seconds" aria-hidden="true">{columns}<b>s</b></div>'
    )


# Just below full scale, since players that resample may exceed the peak.
_PEAK = 0.97


def common_gain(waveforms: Iterable[Float[np.ndarray, "..."]]) -> float:
    """Returns the gain that brings the loudest sample to just below full scale; 1 for silence."""
    peak = max((float(np.max(np.abs(np.nan_to_num(waveform)))) for waveform in waveforms), default=0.0)
    return _PEAK / peak if peak > 0.0 else 1.0


def wav_bytes(waveform: Float[np.ndarray, " samples"], rate_hz: int, *, gain: float) -> bytes:
    """Encodes a waveform as 16-bit mono WAV; samples that are not finite become silence.

    Args:
        waveform: (samples,), clipped to -1..1 after the gain.
        rate_hz: Sample rate.
        gain: Linear gain.

    Returns:
        Content of the WAV file.
    """
    finite = np.nan_to_num(waveform.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    samples = np.round(32767.0 * np.clip(gain * finite, -1.0, 1.0)).astype("<i2")
    stream = io.BytesIO()
    with wave.open(stream, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate_hz)
        writer.writeframes(samples.tobytes())
    return stream.getvalue()
