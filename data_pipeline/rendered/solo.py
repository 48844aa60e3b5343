"""Renders one solo from its seed to two files: the video, and facts about it as JSON."""

import dataclasses
import functools
import json
import pathlib
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from data_pipeline.atomic import atomic_file, write_atomically
from data_pipeline.command import InputError
from data_pipeline.media.video_writer import write_video
from data_pipeline.rendered import variety
from data_pipeline.rendered.drawing import animation
from data_pipeline.rendered.drawing.animation import Animation, Held, Staging
from data_pipeline.rendered.drawing.look import AREA
from data_pipeline.rendered.drawing.style import choose_style
from data_pipeline.rendered.filming.footage import Footage
from data_pipeline.rendered.pictures.folder import HeldPicture
from data_pipeline.rendered.pictures.raster import UnusablePicture, read_cutout
from data_pipeline.rendered.sound import arrange, broad_sound, playable, reverberation, synthesise
from data_pipeline.rendered.sound.compose import Note, Song
from data_pipeline.rendered.sound.instruments import INSTRUMENTS, Instrument
from data_pipeline.rendered.sound.note_folder import NoteFolder
from data_pipeline.rendered.sound.playing import Playing
from data_pipeline.rendered.sound.recording import Recording
from data_pipeline.rendered.sound.reverberation import Room
from data_pipeline.rendered.sound.synthesise import RATE_HZ, Renderer
from data_pipeline.rendered.variety import VARIETIES, Variety


@dataclasses.dataclass(frozen=True)
class SoloSound:
    """The sound of a solo.

    Attributes:
        instrument: Instrument with the program that was played.
        renderer: Renderer of the sound.
        notes: Notes in the order of their starts.
        song: Key, tempo and metre.
        room: Tuning and recording situation.
        samples: (samples,) float32 mono at `RATE_HZ`.
        playing: Manner of playing, in varieties that draw one.
        recording: Room, microphone, noises and codec, in varieties that draw them.
    """

    instrument: Instrument
    renderer: Renderer
    notes: list[Note]
    song: Song
    room: Room
    samples: np.ndarray
    playing: Playing | None = None
    recording: Recording | None = None


@dataclasses.dataclass(frozen=True)
class SoloOptions:
    """What a solo depends on besides its class, index, seed, length and renderer.

    Attributes:
        area: Smallest and largest share of the frame that the player takes.
        kinds: Timbres, keys, rooms and styles to draw from.
        held: Picture that the player holds instead of the drawn instrument.
    """

    area: tuple[float, float] = AREA
    kinds: Variety = VARIETIES["plain"]
    held: HeldPicture | None = None


def solo_stem(name: str, index: int) -> str:
    """Returns the file name of a solo without its suffix."""
    return f"{name}_{index:03d}"


def solo_streams(name: str, *, index: int, seed: int) -> tuple[np.random.Generator, ...]:
    """Returns the random streams of a solo: composition, sound, frames, and timbre with style.

    They depend only on class, index and seed, and not on the number of solos or the order of work.
    """
    return tuple(np.random.default_rng([seed, zlib.crc32(name.encode()), index]).spawn(4))


def held_streams(name: str, *, index: int, seed: int) -> tuple[np.random.Generator, np.random.Generator]:
    """Returns the random streams of a held picture: its choice, and its appearance; `solo_streams` stay as they are."""
    choice, appearance = np.random.default_rng([seed, zlib.crc32(name.encode()), index]).spawn(6)[4:]
    return choice, appearance


def is_filmed(kinds: Variety, name: str, *, index: int, seed: int) -> bool:
    """Draws whether a solo is filmed in a scene; the other random streams stay as they are."""
    (rng,) = np.random.default_rng([seed, zlib.crc32(name.encode()), index]).spawn(7)[6:]
    return kinds.scene is not None and bool(rng.random() < kinds.scene.filmed)


def make_sound(
    name: str,
    *,
    index: int,
    seed: int,
    seconds: float,
    renderer: Renderer,
    kinds: Variety = VARIETIES["plain"],
) -> SoloSound:
    """Composes and records a solo.

    Args:
        name: Class name of the instrument.
        index: Number of the solo in its class, from 0.
        seed: Seed of the set, 0 or larger.
        seconds: Length of the solo.
        renderer: Renderer from `synthesise.choose_renderer`.
        kinds: Timbres, keys and rooms to draw from.
    """
    composition_rng, sound_rng, _, kind_rng = solo_streams(name, index=index, seed=seed)
    instrument, renderer = variety.choose_timbre(kinds, INSTRUMENTS[name], renderer, kind_rng)
    programs = variety.class_programs(kinds, INSTRUMENTS[name])
    if kinds.situations is not None:
        room = reverberation.choose_room(sound_rng, kinds.room)
        made = broad_sound.make_broad_sound(
            instrument,
            renderer,
            room,
            kinds.situations,
            (composition_rng, sound_rng),
            seconds=seconds,
            keys=kinds.keys,
            programs=programs,
        )
        return SoloSound(
            made.instrument,
            renderer,
            notes=made.notes,
            song=made.song,
            room=room,
            samples=made.samples,
            playing=made.playing,
            recording=made.recording,
        )
    notes, song = arrange.compose_solo(instrument, composition_rng, seconds=seconds, keys=kinds.keys)
    instrument, notes, _ = playable.make_playable(renderer, instrument, notes, programs=programs)
    situation = reverberation.choose_room(sound_rng, kinds.room)
    dry = synthesise.synthesise(renderer, instrument, notes, sound_rng, seconds=seconds, cents=situation.cents)
    samples = reverberation.record(dry, situation, sound_rng, rate_hz=RATE_HZ)
    return SoloSound(instrument, renderer, notes=notes, song=song, room=situation, samples=samples)


def render_solo(
    folder: pathlib.Path,
    name: str,
    *,
    index: int,
    seed: int,
    seconds: float,
    renderer: Renderer,
    options: SoloOptions = SoloOptions(),
) -> None:
    """Renders one solo into `folder/<class>/`.

    Both files are written under temporary names and renamed when they are complete, the JSON file last. When it exists,
    the solo is finished.

    Args:
        folder: Folder of the set.
        name: Class name of the instrument.
        index: Number of the solo in its class, from 0.
        seed: Seed of the set, 0 or larger.
        seconds: Length of the solo.
        renderer: Renderer from `synthesise.choose_renderer`.
        options: What else the solo depends on.
    """
    kinds, held = options.kinds, options.held
    sound = make_sound(name, index=index, seed=seed, seconds=seconds, renderer=renderer, kinds=kinds)
    _, _, picture_rng, kind_rng = solo_streams(name, index=index, seed=seed)
    style_name, style = choose_style(kinds.styles, kind_rng.spawn(1)[0])
    staging = Staging(options.area, style, held and _read_held(held, held_streams(name, index=index, seed=seed)[1]))
    animate = Animation
    if kinds.scene is not None and is_filmed(kinds, name, index=index, seed=seed):
        animate = functools.partial(Footage, ranges=kinds.scene)
        style_name, staging = "filmed", dataclasses.replace(staging, style=None)
    pictures = animate(name, sound.notes, picture_rng, index=index, seed=seed, seconds=seconds, staging=staging)
    boxes: list[tuple[float, float, float, float]] = []

    def without_boxes() -> Iterator[np.ndarray]:
        for picture, box in pictures:
            boxes.append(box)
            yield picture

    target = folder / name / solo_stem(name, index)
    with atomic_file(target.with_suffix(".mp4")) as draft:
        write_video(draft, without_boxes(), sound.samples, fps=animation.FPS, rate_hz=RATE_HZ)
    facts = {"instrument": name, "index": index, "seed": seed, "seconds": seconds, "style": style_name}
    if held:
        facts["picture"] = held.facts
    if isinstance(pictures, Footage):
        facts["shot"] = pictures.shot.name
    facts |= _facts(sound, pictures, boxes)
    write_atomically(target.with_suffix(".json"), json.dumps(facts) + "\n")


def _read_held(held: HeldPicture, rng: np.random.Generator) -> Held:
    try:
        return Held(read_cutout(held.picture.path), rng)
    except UnusablePicture as error:
        raise InputError(
            f"{held.picture.path} changed while the solos were rendered ({error}); restore it and run the command again"
        ) from error


def _facts(
    sound: SoloSound, pictures: Animation | Footage, boxes: list[tuple[float, float, float, float]]
) -> dict[str, Any]:
    """Returns the facts for the JSON file; boxes are (ymin, xmin, ymax, xmax), 0 to 1, one per frame."""
    renderer, font = sound.renderer, sound.renderer.font
    room = {key: np.round(value, 3).tolist() for key, value in dataclasses.asdict(sound.room).items()}
    if sound.recording:  # its `space` takes the place of the simple reverberation
        room = {key: value for key, value in room.items() if not key.startswith("reverb_")}
    return {
        "fps": animation.FPS,
        "frame_px": animation.FRAME_PX,
        "rate_hz": RATE_HZ,
        "gm_program": sound.instrument.gm_program,
        "renderer": {"name": renderer.name, "version": renderer.version},
        "soundfont": font and {"name": font.name, "sha256": font.sha256, "licence": font.licence},
        **({"recorded_notes": font.sets[sound.instrument.name][0].name} if isinstance(font, NoteFolder) else {}),
        "beats_per_minute": round(30 / sound.song.eighth_s, 2),
        "mode": sound.song.mode,
        "tonic": sound.song.tonic,
        "room": room,
        **({"playing": _rounded(dataclasses.asdict(sound.playing))} if sound.playing else {}),
        **({"recording": _rounded(dataclasses.asdict(sound.recording))} if sound.recording else {}),
        "mirrored": pictures.look.mirror,
        "notes": [[round(n.start_s, 4), round(n.end_s, 4), n.pitch, n.velocity] for n in sound.notes],
        "boxes": [[round(edge, 4) for edge in box] for box in boxes],
    }


def _rounded(value: Any) -> Any:
    """Returns values of a JSON file with their numbers rounded to four digits."""
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
