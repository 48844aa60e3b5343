import numpy as np
import pytest

from data_pipeline.mixing import MixingSpec
from data_pipeline.records.class_features import RADIUS, STRENGTH, ClassFeatures, ObjectPlan, draw_object

CHANNELS = 4
BACKGROUND = np.array([0.5, 0.0, 1.0, 2.0], np.float32)
WEIGHTS = np.array([[1.0, -1.0, 0.0, -0.5], [np.nan] * 4], np.float32)
FEATURES = ClassFeatures(BACKGROUND, WEIGHTS)


def made(plan, side=8):
    out = np.empty((2, side, side, CHANNELS), np.float16)
    FEATURES.write(0, plan, out)
    return out


def test_an_object_adds_its_class_to_the_background_and_is_never_negative():
    out = made(ObjectPlan((0.5, 0.25), 0.2, 4.0))
    np.testing.assert_array_equal(out[0], out[1])
    np.testing.assert_array_equal(out[0, 4, 2], [4.5, 0.0, 1.0, 0.0])  # 2 - 4 * 0.5 = 0
    np.testing.assert_array_equal(out[0, 4, 6], BACKGROUND.astype(np.float16))


@pytest.mark.parametrize("radius, places", [(0.0, 1), (0.26, 14)])
def test_an_object_has_its_radius_and_at_least_one_place(radius, places):
    out = made(ObjectPlan((0.55, 0.55), radius, 4.0))
    assert np.sum(out[0, :, :, 0] > 1) == pytest.approx(places, abs=3 if places > 1 else 0)


def test_pooled_features_are_one_place():
    np.testing.assert_array_equal(made(ObjectPlan((0.9, 0.1), 0.15, 1.0), side=1)[0, 0, 0], [1.5, 0.0, 1.0, 1.5])


def test_a_class_without_weights_is_unknown():
    assert FEATURES.known(0) and not FEATURES.known(1)


def test_objects_are_drawn_within_the_limits():
    plans = [draw_object(np.random.default_rng(seed)) for seed in range(200)]
    strengths, radii = [plan.strength for plan in plans], [plan.radius for plan in plans]
    assert STRENGTH[0] <= min(strengths) < 1.2 * STRENGTH[0] and 0.8 * STRENGTH[1] < max(strengths) <= STRENGTH[1]
    assert RADIUS[0] <= min(radii) and max(radii) <= RADIUS[1]
    assert np.median(strengths) == pytest.approx(np.sqrt(np.prod(STRENGTH)), rel=0.2)


def test_sources_with_an_object_leave_all_other_draws_as_they_are():
    from data_pipeline.mixing import draw_mixture
    from tests.data_pipeline.test_mixing import table

    plain = [draw_mixture(table(), MixingSpec(3), seed=0, step=step, slot=0) for step in range(60)]
    mixed = [
        draw_mixture(table(), MixingSpec(3, classifier_share=0.3), seed=0, step=step, slot=0) for step in range(60)
    ]
    shares = [plan.seen is not None for plans in mixed for plan in plans]
    assert 0.15 < np.mean(shares) < 0.45
    assert all(
        (one.clip, one.start, one.gain, one.crop) == (other.clip, other.start, other.gain, other.crop)
        for plans, others in zip(plain, mixed, strict=True)
        for one, other in zip(plans, others, strict=True)
    )
    assert all(plan.seen is None for plans in plain for plan in plans)
