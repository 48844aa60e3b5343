"""Tests of the cells of a config, of their pairs and of their runs."""

import pytest

from benchmarks.plus_variants import PAPER, VARIANTS
from data_pipeline.command import InputError
from mpnet_jax.comparison.cells import Grid
from mpnet_jax.config import check as config_module
from mpnet_jax.configs import base, compare_rendered

SEED0 = "ratio-mix2-seed0"


def grid_of(**fields) -> Grid:
    """Returns the comparison of `compare_rendered` without ablations, with changed fields of `compare`."""
    config = compare_rendered.get_config()
    config.compare.ablations.changes = ()
    config.update_from_flattened_dict({f"compare.{name.replace('__', '.')}": value for name, value in fields.items()})
    config_module.check(config)
    return Grid(config)


def differing(grid: Grid, first: str, second: str) -> dict:
    """Returns the fields by which the configs of two cells differ, with both values."""
    cells = {cell.path: cell for cell in grid}
    flat = [config_module.flatten(grid.config(cells[path])) for path in (first, second)]
    return {field: (flat[0][field], flat[1][field]) for field in flat[0] if flat[0][field] != flat[1][field]}


def test_the_grid_of_the_paper() -> None:
    grid = Grid(base.get_config())
    names = [cell.name for cell in grid.cells]
    assert len(names) == len(set(names)) == 4 * 3 * 3 + 2 * 3
    assert names[:4] == [f"mnet-{setting}-seed0" for setting in ("binary-mix2", "ratio-mix2", "ratio-mix3")] + [
        "mnet_longer-binary-mix2-seed0"
    ]
    assert not any("binary-mix3" in name for name in names)
    assert grid.ablations == ()


def test_mpnet_is_its_m_net_with_the_rounds_of_the_plus_net() -> None:
    assert differing(grid_of(), f"cells/mnet-{SEED0}", f"cells/mpnet-{SEED0}") == {
        "start_from": ("", f"mnet-{SEED0}"),
        "rounds.minus": (6000, 0),
        "rounds.plus": (0, 1500),
        "rounds.both": (0, 1000),
    }


def test_the_control_is_the_m_net_trained_on_as_the_last_round_trains_it() -> None:
    assert differing(grid_of(), f"cells/mpnet-{SEED0}", f"cells/mnet_longer-{SEED0}") == {
        "rounds.minus": (0, 1000),
        "rounds.plus": (1500, 0),
        "rounds.both": (1000, 0),
        "optimiser.round_scale.minus": (1.0, 0.3),
    }


def test_pixelplayer_differs_from_the_m_net_in_its_networks_alone() -> None:
    assert differing(grid_of(), f"cells/mnet-{SEED0}", f"cells/pixelplayer-{SEED0}") == {
        "method": ("mpnet", "pixelplayer"),
        "rounds.minus": (6000, 0),
        "rounds.both": (0, 6000),
        "optimiser.round_scale.both": (0.3, 1.0),
    }


def test_seeds_and_settings_differ_in_what_they_name() -> None:
    grid = grid_of()
    assert differing(grid, f"cells/mnet-{SEED0}", "cells/mnet-ratio-mix2-seed2") == {"seed": (0, 2)}
    assert differing(grid, f"cells/mnet-{SEED0}", "cells/mnet-binary-mix2-seed0") == {"mask": ("ratio", "binary")}
    assert differing(grid, f"cells/mnet-{SEED0}", "cells/mnet-ratio-mix3-seed0") == {"mixing.sources": (2, 3)}


def test_one_method_may_change_fields_of_its_own() -> None:
    grid = grid_of(methods=("mpnet", "mpnet_paper"), changes=("mpnet_paper: loss.plus=sum rounds.plus=100",))
    changed = differing(grid, f"cells/mpnet-{SEED0}", f"cells/mpnet_paper-{SEED0}")
    assert changed == {"loss.plus": ("effective", "sum"), "rounds.plus": (1500, 100)}
    # Both begin with the same M-Net, which the grid has although it does not name it.
    assert [cell.name for cell in grid.chains(f"*-{SEED0}")[0]] == [
        f"{method}-{SEED0}" for method in ("mnet", "mpnet", "mpnet_paper")
    ]


ABLATIONS = (
    "mpnet sum: loss.plus=sum",
    "mpnet short: rounds.both=10",
    "mpnet mel: audio.frequency_axis=mel",
    "pixelplayer double_rate: optimiser.learning_rate=2e-2",
)


def test_an_ablation_differs_in_its_fields_from_the_cell_without_a_change() -> None:
    grid = grid_of(ablations__changes=ABLATIONS)
    for name, method, fields in (
        ("sum", "mpnet", {"loss.plus": ("effective", "sum")}),
        ("short", "mpnet", {"rounds.both": (1000, 10)}),
        ("double_rate", "pixelplayer", {"optimiser.learning_rate": (1e-2, 2e-2)}),
        ("mel", "mnet", {"audio.frequency_axis": ("log", "mel")}),
    ):
        default = f"ablations/default-{method}-{SEED0}"
        assert differing(grid, default, f"ablations/{name}-{method}-{SEED0}") == fields
        assert differing(grid, default, f"cells/{method}-{SEED0}") == {}
    # What changes the M-Net, too, begins with an M-Net of the same change.
    changed = differing(grid, f"ablations/default-mpnet-{SEED0}", f"ablations/mel-mpnet-{SEED0}")
    assert changed == {
        "audio.frequency_axis": ("log", "mel"),
        "start_from": (f"mnet-{SEED0}", f"mnet-{SEED0}-mel"),
    }


def test_equal_trainings_share_a_run_and_others_have_their_own() -> None:
    grid = grid_of(ablations__changes=ABLATIONS)
    runs = {(cell.run_name, repr(sorted(grid.changes(cell).items()))) for cell in grid}
    assert len({name for name, _ in runs}) == len({fields for _, fields in runs}) == len(runs)
    assert len({cell.run_name for cell in grid}) == len(grid.cells) + len(ABLATIONS) + 1  # one more M-Net


def test_ablations_are_made_with_their_seeds() -> None:
    grid = grid_of(ablations__changes=("mnet mel: audio.frequency_axis=mel",), ablations__seeds=(1, 2))
    assert [cell.name for cell in grid.ablations] == [
        f"{change}-mnet-ratio-mix2-seed{seed}" for seed in (1, 2) for change in ("default", "mel")
    ]


def test_chains_keep_cells_together_that_depend_on_each_other() -> None:
    grid = grid_of(ablations__changes=ABLATIONS)
    chains = grid.chains()
    assert sorted(cell.path for chain in chains.values() for cell in chain) == sorted(cell.path for cell in grid)
    made: set = set()
    for chain in chains.values():
        runs = {cell.run_name for cell in chain}
        assert not runs & made
        made |= runs
        for place, cell in enumerate(chain):
            assert cell.start is None or cell.start in chain[:place]
    shares = [grid.chains(share=f"{index}/5") for index in range(5)]
    assert sorted(index for share in shares for index in share) == list(chains)
    assert grid.chains(share=f"3/{len(chains)}") == {3: chains[3]}
    # The longest chains come first in each seed, so that several shares have equal parts.
    methods = [chain[0].method for chain in chains.values()][:8]
    assert methods == ["mnet"] * 3 + ["pixelplayer"] * 3 + ["miml"] * 2


def test_a_pattern_includes_the_cells_that_others_begin_with() -> None:
    grid = grid_of()
    chains = grid.chains("mpnet-binary-*")
    assert [[cell.name for cell in chain] for chain in chains.values()] == [
        [f"{method}-binary-mix2-seed{seed}" for method in ("mnet", "mpnet")] for seed in (0, 1, 2)
    ]
    with pytest.raises(InputError, match=r"--only=mpnett fits no cell of the comparison; .* named like cells/mnet-b"):
        grid.chains("mpnett")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"methods": ("mpnet", "mp")}, "config.compare.methods names 'mp', which is unknown; use some of miml, pixel"),
        ({"methods": ("mpnet", "mpnet")}, "config.compare.methods=('mpnet', 'mpnet') must name at least one"),
        ({"seeds": ()}, "config.compare.seeds=() must name at least one, and none twice"),
        ({"settings": ("soft-mix2",)}, "config.compare.settings holds 'soft-mix2'; give binary-mixN or ratio-mixN"),
        ({"mixes": (1, 2)}, "config.compare.mixes=(1, 2) must be numbers of sounds from 2 to 8"),
        ({"changes": ("unet: mask=ratio",)}, "config.compare.changes names 'unet', which is unknown"),
        ({"changes": ("mpnet mask=ratio",)}, "config.compare.changes holds 'mpnet mask=ratio'; write 'method: field"),
        ({"ablations__setting": "ratio"}, "config.compare.ablations.setting holds 'ratio'"),
        ({"ablations__mixes": (2, 9)}, "config.compare.ablations.mixes=(2, 9) must be numbers of sounds from 2 to 8"),
        ({"ablations__changes": ("mpnet: mask=ratio",)}, "must name each change, not default"),
        ({"ablations__changes": ("mpnet default: mask=ratio",)}, "must name each change, not default"),
        (
            {"ablations__changes": ("mpnet a: mixing.sources=3", "mnet a: mixing.sources=4")},
            "must not repeat a name",
        ),
    ],
)
def test_an_invalid_comparison_is_one_sentence(fields, sentence) -> None:
    with pytest.raises(InputError) as refused:
        grid_of(**fields)
    assert sentence in str(refused.value)


@pytest.mark.parametrize("change", ["recursion.mask=original", "batch_size=many", "mask.on=1", "rounds.minus=many"])
def test_an_ablation_of_an_unknown_field_or_type_is_refused(change: str) -> None:
    grid = grid_of(ablations__changes=(f"mnet a: {change}",))
    with pytest.raises(InputError, match=r"config\.compare: ablations/a-mnet-ratio-mix2-seed0 cannot set config\."):
        grid.config(grid.ablations[1])


def test_the_second_mp_net_has_the_plus_net_of_the_paper():
    grid = Grid(compare_rendered.get_config())
    cells = [cell for cell in grid.cells if cell.method == "mpnet_paper"]
    assert cells and all(grid.changes(cell).items() >= PAPER.items() for cell in cells)
    default = base.get_config()
    default.update_from_flattened_dict(PAPER)
    assert default == base.get_config()
    # That of the other MP-Net is the variant that docs/PLUS_NET.md names.
    changed = compare_rendered.get_config()
    changed.update_from_flattened_dict(PAPER | VARIANTS["looks_sweeps_missed"])
    assert changed == compare_rendered.get_config()
