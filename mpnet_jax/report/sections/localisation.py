"""The section on localisation: a table of guesses for each scene."""

from collections.abc import Mapping, Sequence
from typing import Any

from mpnet_jax.report.drawing import sortable
from mpnet_jax.report.drawing.numbers import is_number, mapping, number

_MEASURES = {
    "pointing": "Pointing",
    "iou": "IoU",
    "auc": "AUC",
    "player": "Right player",
}
_SHARES = ("pointing", "player")


def scene_table(scene: Mapping[str, Any]) -> str:
    """Returns a table of guesses and measures for one scene; "" without guesses."""
    return _table([([], scene)], lead=[], caption=_title(scene))


def table(scenes: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Returns a table of (run, scene) of several runs with the guesses of each scene; "" without guesses."""
    named = [([run, str(scene.get("scene") or "")], scene) for run, scene in scenes]
    return _table(named, lead=["Run", "Scene"], caption="Where the sound comes from")


def _table(scenes: Sequence[tuple[Sequence[str], Mapping[str, Any]]], *, lead: Sequence[str], caption: str) -> str:
    guesses = [(names, guess, values) for names, scene in scenes for guess, values in _guesses(scene).items()]
    measures = [key for key in _MEASURES if any(key in values for _, _, values in guesses)]
    rows = [
        [
            *(sortable.words(name) for name in (*names, guess[:1].upper() + guess[1:])),
            *(sortable.estimated(values.get(key), percent=key in _SHARES) for key in measures),
        ]
        for names, guess, values in guesses
    ]
    heads = [f'{_MEASURES[key]} <span class="better" title="higher is better">↑</span>' for key in measures]
    return sortable.table([*lead, "Guess", *heads], rows, caption=caption)


def scenes_of(localisation: Any) -> list[Mapping[str, Any]]:
    """Returns the scenes of a results file's `localisation`."""
    listed = localisation if isinstance(localisation, Sequence) and not isinstance(localisation, str) else ()
    return [scene for scene in listed if isinstance(scene, Mapping)]


def section(localisation: Any, frames: str) -> str:
    """Returns a table for each scene and the gallery; "" without either."""
    scenes = scenes_of(localisation)
    tables = [f"<div>{scene_table(scene)}{_box_share(scene)}</div>" for scene in scenes if _guesses(scene)]
    if not tables:
        return frames
    note = (
        '<p class="note">Pointing: share of scenes whose greatest heat lies in the sounding player\'s box. IoU: '
        "overlap of the box with the map at half its greatest value. AUC: area under the ROC curve of cells inside "
        "and outside of the box. Right player: share that points to the right player's side.</p>"
    )
    return f'{note}<div class="scenes">{"".join(tables)}</div>{frames}'


def _guesses(scene: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {str(key): value for key, value in mapping(scene.get("guesses")).items() if isinstance(value, Mapping)}


def _title(scene: Mapping[str, Any]) -> str:
    name = str(scene.get("scene") or "Scene")
    count = f", {scene['scenes']:,} scenes" if is_number(scene.get("scenes")) else ""
    return f"{name[:1].upper()}{name[1:]}{count}"


def _box_share(scene: Mapping[str, Any]) -> str:
    share = mapping(scene.get("box_share"))
    if not is_number(share.get("mean")):
        return ""
    most = f", at most {number(100 * share['max'], digits=0)} %" if is_number(share.get("max")) else ""
    return (
        f'<p class="note">The box covers {number(100 * share["mean"], digits=0)} % of the frame on average{most}.</p>'
    )
