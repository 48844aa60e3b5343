"""Small soundfonts of one program, compressed samples, silent pitches."""

import io
import pathlib
import struct

import numpy as np
import pytest
import soundfile

from data_pipeline.command import InputError
from data_pipeline.rendered.sound import bank, midi, soundfont, soundfont_player, synthesise

needs_midirenderer = pytest.mark.skipif(not synthesise.has_midirenderer(), reason="no wheel for this platform")
VIOLIN, ALTO, NONE = 40, 65, 3
RATE_HZ = 44_100


def compress(content: bytes) -> bytes:
    """Returns a SoundFont 2 file of few samples as SoundFont 3: Ogg Vorbis samples, loops relative to them."""
    chunks: dict[bytes, np.ndarray] = {}
    bank._collect_chunks(np.frombuffer(content, np.uint8), 12, len(content), chunks)
    headers = np.frombuffer(chunks[b"shdr"].tobytes(), bank._SAMPLE).copy()
    frames = np.frombuffer(chunks[b"smpl"].tobytes(), "<i2")
    streams, place = [], 0
    for header in headers[:-1]:
        start, end = int(header["start"]), int(header["end"])
        stream = io.BytesIO()
        soundfile.write(
            stream, frames[start:end], int(header["rate_hz"]), format="OGG", subtype="VORBIS", compression_level=0.0
        )
        streams.append(stream.getvalue())
        header["start"], header["end"] = place, place + len(streams[-1])
        header["loop_start"] -= start
        header["loop_end"] -= start
        header["type"] |= 0x10
        place += len(streams[-1])
    chunk = bank._chunk
    tables = b"".join(
        chunk(key, headers.tobytes() if key == b"shdr" else chunks[key].tobytes()) for key in bank._TABLES
    )
    return bank._riff(
        b"sfbk",
        chunk(b"LIST", b"INFO" + chunk(b"ifil", struct.pack("<HH", 3, 1)) + chunk(b"INAM", b"Small\0"))
        + chunk(b"LIST", b"sdta" + chunk(b"smpl", b"".join(streams)))
        + chunk(b"LIST", b"pdta" + tables),
    )


@pytest.fixture(scope="module")
def violin(tmp_path_factory) -> tuple[pathlib.Path, pathlib.Path]:
    """Paths of a soundfont of one program, and of its compressed form."""
    folder = tmp_path_factory.mktemp("banks")
    content = bank.extract_program(soundfont.bundled_path(), VIOLIN)
    assert content is not None
    (folder / "violin.sf2").write_bytes(content)
    (folder / "violin.sf3").write_bytes(compress(content))
    return folder / "violin.sf2", folder / "violin.sf3"


def scale() -> bytes:
    """Returns a MIDI file with long notes on the violin."""
    events = [midi.program_change(0, VIOLIN, channel=0)]
    for k, pitch in enumerate((57, 64, 69, 76, 81, 88)):
        events += midi.note(pitch, 90, start_s=k * 1.0, end_s=k * 1.0 + 0.9, channel=0)
    return midi.write_file(events)


@needs_midirenderer
def test_small_soundfont_plays_the_same_samples_as_the_whole_one(violin):
    import midirenderer  # pyright: ignore[reportMissingImports]

    whole = midirenderer.render_wave_from(soundfont.bundled_path().read_bytes(), scale())
    assert whole == midirenderer.render_wave_from(violin[0].read_bytes(), scale())
    assert violin[0].stat().st_size < 100_000
    assert bank.extract_program(violin[0], NONE) is None


@needs_midirenderer
def test_compressed_samples_sound_like_the_uncompressed_ones(violin):
    first, second = (soundfont_player.play_midi(path, VIOLIN, scale(), rate_hz=RATE_HZ) for path in violin)
    assert soundfont.describe_soundfont(violin[1]).name == "Small"
    assert first.size == second.size
    # Vorbis at its best quality changes samples by less than 1 % of their energy.
    assert np.sum((first - second) ** 2) < 0.01 * np.sum(first**2)


@needs_midirenderer
def test_silent_pitches_are_found():
    # The alto saxophone of TimGM6mb has no zone for pitch 64.
    assert soundfont_player.silent_pitches(soundfont.bundled_path(), ALTO) == {64}
    assert not soundfont_player.silent_pitches(soundfont.bundled_path(), VIOLIN) & set(range(55, 101))


@needs_midirenderer
def test_a_missing_program_is_silent_everywhere(violin):
    assert soundfont_player.silent_pitches(violin[0], NONE) == set(soundfont_player.TRIED_PITCHES)
    assert not soundfont_player.play_midi(violin[0], NONE, scale(), rate_hz=RATE_HZ).size


def test_damaged_compressed_samples_are_refused(violin, tmp_path):
    content = bytearray(violin[1].read_bytes())
    place = content.index(b"OggS")
    content[place : place + 4] = b"XXXX"
    path = tmp_path / "damaged.sf3"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"damaged\.sf3 cannot be played"):
        bank.extract_program(path, VIOLIN)


@needs_midirenderer
def test_pitch_wheel_and_expression_do_what_they_say(violin):
    events = [midi.program_change(0, VIOLIN, channel=0), *midi.bend_range(0, 12, channel=0)]
    events += [midi.controller(0, midi.REVERB_SEND, 0, channel=0), midi.bend(0, 7 / 12, channel=0)]
    events += midi.note(69, 100, start_s=0, end_s=2.0, channel=0)
    loud, soft = (
        soundfont_player.play_midi(
            violin[0],
            VIOLIN,
            midi.write_file([*events, midi.controller(0, midi.EXPRESSION, value, channel=0)]),
            rate_hz=RATE_HZ,
        )[RATE_HZ // 2 : 3 * RATE_HZ // 2]
        for value in (127, 64)
    )
    spectrum = np.abs(np.fft.rfft(loud * np.hanning(loud.size), 1 << 19))
    near = np.arange(640 * (1 << 19) // RATE_HZ, 680 * (1 << 19) // RATE_HZ)
    found_hz = near[np.argmax(spectrum[near])] * RATE_HZ / (1 << 19)
    assert abs(1200 * np.log2(found_hz / 659.26)) < 10  # the soundfont's own tuning is a few cents off
    # Expression is a gain in squares: (64 / 127) ** 2 is -11.9 dB.
    assert 20 * np.log10(np.std(soft) / np.std(loud)) == pytest.approx(-11.9, abs=1.5)
