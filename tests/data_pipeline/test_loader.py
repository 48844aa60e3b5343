import dataclasses
import itertools
import subprocess
import sys

import librosa
import numpy as np
import pytest

from data_pipeline import loader
from data_pipeline.loader import Sharding, evaluation_batches, training_batches
from data_pipeline.mixing import ClipTable, MixingSpec, SourcePlan, draw_mixture, frame_indices
from data_pipeline.records import picture_cache
from data_pipeline.records.picture_cache import PictureCache
from data_pipeline.records.store import RecordStore
from data_pipeline.spec import AudioSpec, FrameSpec
from data_pipeline.tf_cpu import tf
from tests.support.records import parse
from tests.support.repository import ROOT

AUDIO = AudioSpec(rate_hz=8000, clip_samples=4032, fft_samples=254, hop_samples=64)
FRAMES = FrameSpec(count=2, crop_px=32)
MIXING = MixingSpec(sources=2)
TRAINING_KEYS = {"mixture_magnitude", "source_magnitude", "source_label", "frames", "valid"}


@pytest.fixture(scope="module")
def store(tiny_set):
    return RecordStore.open(tiny_set, "tiny", "train")


def batches(store, count, **options):
    options = {"audio": AUDIO, "frames": FRAMES, "mixing": MIXING, "batch_size": 4, "seed": 5} | options
    return list(itertools.islice(training_batches(store, **options), count))


@pytest.fixture(scope="module")
def first_three(store):
    return batches(store, 3)


def plans_of(store, step, slot, mixing=MIXING):
    table = ClipTable(store.clips, AUDIO, sources=mixing.sources, same_class=mixing.same_class)
    return draw_mixture(table, mixing, seed=5, step=step, slot=slot)


def waveform(store, plan):
    samples = parse(store, plan.clip)["audio"].numpy()
    return plan.gain * samples[plan.start : plan.start + AUDIO.clip_samples].astype(np.float32) / 32768.0


def test_a_window_is_brought_to_the_level_of_its_video_only_where_asked(store):
    for level_of in ("video", "window"):
        mixing = dataclasses.replace(MIXING, level_of=level_of)
        (batch,) = batches(store, 1, mixing=mixing)
        for slot, magnitudes in enumerate(batch["source_magnitude"]):
            for plan, magnitude in zip(plans_of(store, 0, slot), magnitudes, strict=True):
                wave = waveform(store, plan)
                if level_of == "window":
                    wave *= plan.gain * store.clips[plan.clip].video_rms / np.sqrt(np.mean(wave**2))
                np.testing.assert_allclose(magnitude, abs(spectrum(wave)), atol=1e-3)


def test_a_quiet_window_is_lifted_by_40_db_at_most():
    noise = np.random.default_rng(1).standard_normal(500).astype(np.float32)
    for own, level in ((1e-3, 1e-2), (1e-5, 1e-1), (0.0, 1e-1), (0.5, 0.0)):
        window = noise / noise.std() * np.float32(own)
        rms = np.sqrt(np.mean((window * loader._lift(window, level)) ** 2))
        assert rms == pytest.approx(min(level, own * 100), rel=0.02)


def spectrum(wave):
    return librosa.stft(
        wave,
        n_fft=AUDIO.fft_samples,
        hop_length=AUDIO.hop_samples,
        window="hann",
        center=True,
        pad_mode="reflect",
    )


def picture(store, clip, number):
    return tf.io.decode_jpeg(parse(store, clip)["frames"][number], channels=3).numpy()


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_a_batch_keeps_the_contract(first_three):
    expected = {
        "mixture_magnitude": ((4, 128, 64), np.float32),
        "source_magnitude": ((4, 2, 128, 64), np.float32),
        "source_label": ((4, 2), np.int32),
        "frames": ((4, 2, 2, 32, 32, 3), np.uint8),
        "valid": ((4,), np.bool_),
    }
    for batch in first_three:
        assert {name: (x.shape, x.dtype.type) for name, x in batch.items()} == expected
        assert batch["valid"].all()


def test_labels_are_those_of_the_clips(store, first_three):
    labels = [[store.clips[plan.clip].label for plan in plans_of(store, step=1, slot=slot)] for slot in range(4)]
    np.testing.assert_array_equal(first_three[1]["source_label"], labels)


def test_sounds_without_pictures_are_the_same(store, first_three):
    for alone, whole in zip(batches(store, 2, frames=None), first_three, strict=False):
        assert_same(alone, {name: x for name, x in whole.items() if name != "frames"})


def test_a_mixture_is_the_sum_of_its_sources(store, first_three):
    for slot in range(4):
        waves = [waveform(store, plan) for plan in plans_of(store, step=1, slot=slot)]
        # The pipeline's transform is float32, over 254 samples of up to about one.
        np.testing.assert_allclose(
            first_three[1]["source_magnitude"][slot], np.abs([spectrum(wave) for wave in waves]), atol=1e-4
        )
        np.testing.assert_allclose(
            first_three[1]["mixture_magnitude"][slot], np.abs(spectrum(np.sum(waves, axis=0))), atol=1e-4
        )


def test_pictures_are_cut_and_mirrored_as_planned(store, first_three):
    flips = set()
    for slot in range(4):
        for place, plan in enumerate(plans_of(store, step=0, slot=slot)):
            numbers = frame_indices(plan, store.clips[plan.clip], audio=AUDIO, frames=FRAMES, fps=store.spec.fps)
            cut = first_three[0]["frames"][slot, place]
            for number, seen in zip(numbers, cut, strict=True):
                whole = picture(store, plan.clip, number)
                down, right = (int(c * (side - 32 + 1)) for c, side in zip(plan.crop, whole.shape, strict=False))
                expected = whole[down : down + 32, right : right + 32]
                np.testing.assert_array_equal(seen, expected[:, ::-1] if plan.flip else expected)
            flips.add(plan.flip)
    assert flips == {False, True}


@pytest.mark.parametrize("crop", [(0.0, 0.0), (1.0, 1.0), (0.5, 0.5)])
def test_crops_reach_the_edges_and_stay_inside(store, crop):
    plans = [[dataclasses.replace(plan, crop=crop, flip=False) for plan in plans_of(store, step=0, slot=0)]]
    (batch,) = evaluation_batches(store, plans, audio=AUDIO, frames=FRAMES, batch_size=1)
    plan = plans[0][0]
    number = frame_indices(plan, store.clips[plan.clip], audio=AUDIO, frames=FRAMES, fps=store.spec.fps)[0]
    whole = picture(store, plan.clip, number)
    down, right = (int(c * (side - 32)) for c, side in zip(crop, whole.shape, strict=False))
    np.testing.assert_array_equal(batch["frames"][0, 0, 0], whole[down : down + 32, right : right + 32])


def test_the_same_seed_gives_the_same_batches_bit_for_bit(store, first_three):
    for one, other in zip(batches(store, 3), first_three, strict=True):
        assert_same(one, other)
    assert not np.array_equal(batches(store, 1, seed=6)[0]["frames"], first_three[0]["frames"])
    assert not np.array_equal(first_three[0]["frames"], first_three[1]["frames"])


def test_a_run_goes_on_where_it_stopped_bit_for_bit(store, first_three):
    (batch,) = batches(store, 1, first_step=2)
    assert_same(batch, first_three[2])


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("pieces", [1, 100])
def test_pictures_that_are_kept_change_nothing(tiny_set, first_three, tmp_path, monkeypatch, on_disk, pieces):
    monkeypatch.setattr(picture_cache, "PIECE_BYTES", 1 << 16)  # holds a few frames of 40 pixels
    cache = PictureCache(pieces << 16, tmp_path if on_disk else None)
    store = RecordStore.open(tiny_set, "tiny", "train", cache=cache)
    for one, other in zip(batches(store, 3), first_three, strict=True):
        assert_same(one, other)
    kept = len(store.decoded)
    assert kept > 0
    assert_same(batches(store, 1)[0], first_three[0])
    pictures = sum(clip.frames for clip in store.clips)
    assert kept <= len(store.decoded) <= (pictures if pieces > 1 else (1 << 16) // (40 * 40 * 3))


@pytest.fixture(scope="module")
def global_batches(store):
    """Steps 0 to 2 of a run with batches of 24 in one process."""
    return batches(store, 3, batch_size=24)


@pytest.mark.parametrize("processes", [1, 2, 3, 8])
def test_processes_share_the_global_batch_of_a_resumed_run(store, global_batches, processes):
    shares = [
        batches(store, 2, batch_size=24, first_step=1, sharding=Sharding(index, processes))
        for index in range(processes)
    ]
    for step in range(2):
        joined = {name: np.concatenate([share[step][name] for share in shares]) for name in TRAINING_KEYS}
        assert_same(joined, global_batches[step + 1])


@pytest.mark.parametrize("processes", [1, 2, 3, 8])
def test_slots_are_disjoint_and_complete(processes):
    slots = [slot for index in range(processes) for slot in Sharding(index, processes).slots(24)]
    assert slots == list(range(24))


def test_a_batch_that_processes_cannot_share_is_refused():
    with pytest.raises(ValueError, match="batch_size=10 must divide by 4 processes"):
        Sharding(0, 4).slots(10)


def test_a_batch_may_be_rounded_up_to_divide():
    assert [Sharding(1, 4).rounded_up(size) for size in (1, 4, 5)] == [4, 4, 8]


def samples_seen(store, monkeypatch, count, **options):
    """(video, chunk, start, crop, flip) of every source of every slot of the steps of a run that gave `count` batches.

    The loader works ahead, so that there are more steps than batches.
    """
    seen = {}

    def draw(*args, step, slot, **rest):
        plans = draw_mixture(*args, step=step, slot=slot, **rest)
        clips = [store.clips[plan.clip] for plan in plans]
        seen[step, slot] = [
            (clip.video_id, clip.chunk, plan.start, plan.crop, plan.flip)
            for clip, plan in zip(clips, plans, strict=True)
        ]
        return plans

    with monkeypatch.context() as patch:
        patch.setattr(loader, "draw_mixture", draw)
        batches(store, count, **options)
    return seen


def test_a_run_resumed_within_an_epoch_sees_the_very_samples_it_would_have_seen(store, monkeypatch):
    videos = len({clip.video_id for clip in store.clips})
    first_step = 1  # of an epoch of a hundred windows per video, which is more than two batches of 24
    assert 24 * 3 < 100 * videos
    straight = samples_seen(store, monkeypatch, 3, batch_size=24)
    resumed = {}
    for index in range(3):
        share = {"batch_size": 24, "first_step": first_step, "sharding": Sharding(index, 3)}
        resumed |= samples_seen(store, monkeypatch, 2, **share)
    for step in range(first_step, 3):
        for slot in range(24):
            assert resumed[step, slot] == straight[step, slot]
    assert not any(step < first_step for step, _ in resumed)
    assert len({sample for key in resumed for sample in resumed[key]}) > 24  # not always the same sample


def test_a_program_ends_with_a_loader_that_it_left_open(tiny_set):
    script = f"""
from pathlib import Path
from data_pipeline.loader import training_batches
from data_pipeline.mixing import MixingSpec
from data_pipeline.records.store import RecordStore
from data_pipeline.spec import AudioSpec, FrameSpec
store = RecordStore.open(Path({str(tiny_set)!r}), "tiny", "train")
made = training_batches(
    store, audio=AudioSpec(8000, 4032, 254, 64), frames=FrameSpec(2, 32), mixing=MixingSpec(2), batch_size=4, seed=5
)
next(made)
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=60)


def test_a_silent_source_keeps_its_pictures(store, first_three):
    (batch,) = batches(store, 1, mixing=dataclasses.replace(MIXING, silent_probability=1.0))
    np.testing.assert_array_equal(batch["source_magnitude"][:, 1], 0.0)
    np.testing.assert_allclose(batch["mixture_magnitude"], batch["source_magnitude"][:, 0], atol=1e-6)
    np.testing.assert_array_equal(batch["frames"], first_three[0]["frames"])


def evaluate(store, count=5, **options):
    mixtures = [plans_of(store, step=9, slot=slot, mixing=MixingSpec(2, augment=False)) for slot in range(count)]
    options = {"audio": AUDIO, "frames": FRAMES, "batch_size": 2} | options
    return mixtures, list(evaluation_batches(store, mixtures, **options))


def test_evaluation_gives_every_mixture_once_and_pads_the_last_batch(store):
    _, got = evaluate(store)
    assert [batch["valid"].tolist() for batch in got] == [[True, True], [True, True], [True, False]]
    assert [i for batch in got for i in batch["index"][batch["valid"]]] == [0, 1, 2, 3, 4]
    last = got[-1]
    assert set(last) == TRAINING_KEYS | {"mixture_phase", "source_waveform", "boxes", "index"}
    for name in TRAINING_KEYS - {"valid"}:
        np.testing.assert_array_equal(last[name][0], last[name][1])


def test_evaluation_hands_on_phase_and_waveforms(store):
    mixtures, got = evaluate(store, batch_size=1)
    batch = got[3]
    waves = np.stack([waveform(store, plan) for plan in mixtures[3]])
    assert batch["mixture_phase"].dtype == batch["source_waveform"].dtype == np.float32
    np.testing.assert_allclose(batch["source_waveform"][0], waves, atol=1e-6)
    rebuilt = batch["mixture_magnitude"] * np.exp(1j * batch["mixture_phase"])
    np.testing.assert_allclose(rebuilt[0], spectrum(waves.sum(0)), atol=1e-4)


def test_evaluation_hands_on_boxes(store):
    _, got = evaluate(store)
    assert got[0]["boxes"].shape == (2, 2, FRAMES.count, 4)
    assert np.isnan(got[0]["boxes"]).all()  # these videos have none


def test_processes_share_an_evaluation(store):
    _, whole = evaluate(store, batch_size=4)
    shares = [evaluate(store, batch_size=4, sharding=Sharding(index, 2))[1] for index in range(2)]
    for number, batch in enumerate(whole):
        joined = {name: np.concatenate([share[number][name] for share in shares]) for name in batch}
        assert_same(joined, batch)


def test_a_window_beyond_its_record_stops_the_pipeline(store):
    beyond = [[SourcePlan(clip, store.clips[clip].samples - 10, 1.0) for clip in (0, 1)]]
    with pytest.raises(ValueError, match=r"samples \d+ to \d+ are not in record 0, which has \d+; draw windows"):
        next(evaluation_batches(store, beyond, audio=AUDIO, frames=FRAMES, batch_size=1))


def test_what_is_in_phase_with_the_mixture(store):
    plain, along = (
        batches(store, 1, frames=None, mixing=MixingSpec(2, truth=truth))[0]
        for truth in ("magnitude", "phase_sensitive")
    )
    np.testing.assert_array_equal(along["mixture_magnitude"], plain["mixture_magnitude"])
    for slot in range(4):
        spectra = np.array([spectrum(waveform(store, plan)) for plan in plans_of(store, step=0, slot=slot)])
        mixture = spectra.sum(0)
        expected = np.maximum(np.abs(spectra) * np.cos(np.angle(spectra) - np.angle(mixture)), 0.0)
        np.testing.assert_allclose(along["source_magnitude"][slot], expected, atol=1e-4)
        # Of two sources only the larger one exceeds one half: a binary target has one owner for each bin.
        owners = np.sum(along["source_magnitude"][slot] > 0.5 * np.abs(mixture) + 1e-4, axis=0)
        assert owners.max() == 1
    assert np.any(np.sum(plain["source_magnitude"] > 0.5 * plain["mixture_magnitude"][:, None] + 1e-4, axis=1) == 2)


def test_a_loss_that_needs_the_phase_gets_signed_parts_beside_the_magnitudes(store):
    plain, along, both = (
        batches(store, 1, frames=None, mixing=MixingSpec(2, **options))[0]
        for options in ({}, {"truth": "phase_sensitive"}, {"in_phase": True})
    )
    assert both.keys() - plain.keys() == {"source_in_phase"} and both["source_in_phase"].dtype == np.float32
    assert_same(plain, {name: x for name, x in both.items() if name != "source_in_phase"})
    np.testing.assert_array_equal(np.maximum(both["source_in_phase"], 0.0), along["source_magnitude"])
    # The parts sum to the mixture, those below 0 with them.
    assert both["source_in_phase"].min() < 0
    np.testing.assert_allclose(both["source_in_phase"].sum(1), both["mixture_magnitude"], atol=1e-4)
