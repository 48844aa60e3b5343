"""Tests of the cells of a config and of their runs."""

import pytest

from data_pipeline.command import InputError
from mpnet_jax.comparison import cells
from mpnet_jax.comparison.cells import Cell
from mpnet_jax.config import check as config_module
from mpnet_jax.configs import base, compare_rendered


def config_of(**fields):
    config = compare_rendered.get_config()
    config.compare.ablations.repeated = ()
    config.update_from_flattened_dict({f"compare.{name.replace('__', '.')}": value for name, value in fields.items()})
    return config


def test_the_grid_of_the_paper():
    plan = cells.plan(base.get_config())
    names = [cell.name for cell in plan.cells]
    assert len(names) == len(set(names)) == 3 * 3 * 3 + 2 * 3
    assert names[:5] == [
        "miml-none-mix2-seed0",
        "miml-none-mix3-seed0",
        "pixelplayer-binary-mix2-seed0",
        "pixelplayer-ratio-mix2-seed0",
        "pixelplayer-ratio-mix3-seed0",
    ]
    assert not any("binary-mix3" in name for name in names)
    assert [trial.name for trial in plan.trials][-3:] == [
        "mpnet-ratio-mix2-seed0-rate0.0003",
        "mpnet-ratio-mix2-seed0-rate0.001",
        "mpnet-ratio-mix2-seed0-rate0.003",
    ]
    assert len(plan.trials) == 4 * 3
    assert plan.ablations == ()


@pytest.mark.parametrize("method", ["pixelplayer", "mnet", "mpnet"])
def test_every_method_trains_for_as_many_steps(method):
    config = config_of()
    cell = Cell("cells", method, "ratio", 2, 1)
    run = cells.changed(config, cell, 3e-3)
    config_module.check(run)
    steps = run.rounds
    assert steps.minus + steps.both == config.rounds.minus + config.rounds.both
    assert steps.plus == (config.rounds.plus if method == "mpnet" else 0)
    assert (run.mask, run.mixing.sources, run.seed, run.optimiser.learning_rate) == ("ratio", 2, 1, 3e-3)
    # A round that trains from the start has the full learning rate.
    first = "both" if method == "pixelplayer" else "minus"
    assert run.optimiser.round_scale[first] == 1.0


def test_a_share_of_the_steps_is_of_each_round():
    config = config_of()
    config.rounds.update(minus=1500, plus=150, both=200)
    run = cells.changed(config, Cell("trials", "mpnet", "ratio", 2, 0, share=0.5), 1e-3)
    assert [run.rounds[name] for name in ("minus", "plus", "both")] == [750, 75, 100]


def test_the_best_trial_is_the_run_of_its_cell():
    plan = cells.plan(config_of(ablations__changes=("other: loss.remaining_weight=0.1",)))
    trial = next(trial for trial in plan.trials if trial.method == "mpnet" and trial.rate == 1e-3)
    cell = next(cell for cell in plan.cells if cell.name == "mpnet-ratio-mix2-seed0")
    default, other = plan.ablations
    assert trial.run_name(1e-3) == cell.run_name(1e-3) == default.run_name(1e-3)
    assert len({cell.run_name(1e-3), cell.run_name(3e-3), other.run_name(1e-3)}) == 3
    assert plan.trials_of(cell) == tuple(trial for trial in plan.trials if trial.method == "mpnet")


def test_every_run_has_a_name_of_its_own():
    plan = cells.plan(config_of(rates__share=0.5, ablations__changes=("a: recursion.mask_on=original",)))
    runs = {(cell.run_name(1e-3), repr(cells.changes(cell, config_of(), 1e-3))) for cell in plan if not cell.rate}
    assert len({name for name, _ in runs}) == len({fields for _, fields in runs}) == len(runs)


def test_an_ablation_changes_its_fields():
    config = config_of(ablations__changes=("bare: rounds.plus=0 rounds.both=0 recursion.mask_on=original",))
    default, bare = cells.plan(config).ablations
    assert (default.name, bare.name) == ("default-ratio-mix2-seed0", "bare-ratio-mix2-seed0")
    run = cells.changed(config, bare, 1e-3)
    assert (run.rounds.plus, run.rounds.both, run.recursion.mask_on) == (0, 0, "original")


def test_named_ablations_and_no_change_are_made_with_every_seed():
    plan = cells.plan(compare_rendered.get_config())
    repeated = [(cell.change, cell.seed) for cell in plan.ablations if cell.seed]
    assert repeated == [(change, seed) for seed in (1, 2) for change in ("default", "mel")]
    mel = next(cell for cell in plan.ablations if cell.name == "mel-ratio-mix2-seed2")
    assert mel.start is not None and mel.start.path == "starts/start_mel-ratio-mix2-seed2"


def test_a_pattern_includes_the_trials():
    plan = cells.plan(config_of())
    some = plan.matching("mnet-binary-*")
    assert [cell.name for cell in some.cells] == [f"mnet-binary-mix2-seed{seed}" for seed in (0, 1, 2)]
    assert {trial.method for trial in some.trials} == {"mnet"}
    assert plan.matching("trials/*").cells == ()
    with pytest.raises(InputError, match=r"--only=mpnett fits no cell of the grid; a cell is named like starts/start"):
        plan.matching("mpnett")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"methods": ("mpnet", "mp")}, "config.compare.methods names 'mp', which is unknown; use some of miml, pixel"),
        ({"methods": ("mpnet", "mpnet")}, "config.compare.methods=('mpnet', 'mpnet') must name at least one"),
        ({"seeds": ()}, "config.compare.seeds=() must name at least one, and none twice"),
        ({"settings": ("soft-mix2",)}, "config.compare.settings holds 'soft-mix2'; give binary-mixN or ratio-mixN"),
        ({"rates__setting": "ratio"}, "config.compare.rates.setting holds 'ratio'"),
        ({"rates__share": 1.5}, "config.compare.rates.share=1.5 must lie between 0 and 1"),
        ({"takeover_minutes": 0.5}, "config.compare.takeover_minutes=0.5 must be at least 1"),
        ({"mixes": (1, 2)}, "config.compare.mixes=(1, 2) must be numbers of sounds from 2 to 8"),
        ({"ablations__mixes": (2, 9)}, "config.compare.ablations.mixes=(2, 9) must be numbers of sounds from 2 to 8"),
        (
            {"ablations__repeated": ("bark",)},
            "config.compare.ablations.repeated names 'bark', which is no name in config.compare.ablations.changes",
        ),
        ({"ablations__changes": ("mask_on=original",)}, "config.compare.ablations.changes holds 'mask_on=original'"),
        ({"ablations__changes": ("default: mask=ratio",)}, "give each a name of its own (not default)"),
        (
            {"ablations__changes": ("a: mask=ratio",), "ablations__method": "unet"},
            "config.compare.ablations.method='unet' is unknown",
        ),
    ],
)
def test_an_invalid_comparison_is_one_sentence(fields, sentence):
    with pytest.raises(InputError) as refused:
        config = config_of(**fields)
        config_module.check(config)
        cells.plan(config)
    assert sentence in str(refused.value)


@pytest.mark.parametrize("change", ["a: recursion.mask=original", "a: batch_size=many", "a: mask.on=1"])
def test_an_ablation_of_an_unknown_field_is_refused(change):
    config = config_of(ablations__changes=(change,))
    with pytest.raises(InputError, match=r"config\.compare: ablations/a-ratio-mix2-seed0 cannot set config\."):
        cells.changed(config, cells.plan(config).ablations[1], 1e-3)
