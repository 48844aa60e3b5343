"""Ranges of the scenes, shots and recording faults of a variety."""

import dataclasses

Range = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class SceneRanges:
    """Probabilities and ranges from which the scene of a solo is drawn.

    Pairs are (smallest, largest). Lengths are shares of the frame's side unless a field says otherwise.

    Attributes:
        filmed: Probability that a solo is filmed; the others look like those of varieties without scenes.
        shots: Probability of each shot: "full" (the whole player), "part" (a part of player and instrument), "close"
            (the instrument fills most of the frame), "alone" (the instrument without a player).
        full_scale: Size of the player in a full shot, relative to the size that a variety without scenes gives.
        part_scale: The same for a part shot.
        close_length: Longer side of the instrument in a close shot.
        alone_length: Longer side of the instrument without a player.
        least_visible: Share of the instrument's box that is always visible, or share of the frame that it covers.
        window: Side of the camera's view relative to the drawn scene.
        drift: Distance that the view may move during the solo.
        shake: Largest standard deviation of the view's position, for a camera in the hand.
        listeners: Probabilities of 0, 1, 2, ... persons who do not play.
        silent_instrument: Probability that another instrument lies in the background.
        silent_length: Longer side of that instrument.
        heads: Probability that heads of an audience hide the lower edge.
        depth_of_field: Probability that the background is out of focus.
        dark, bright: Probabilities of too little and too much light.
        noise: Largest standard deviation of the sensor's noise, in levels of 255; multiplied by 2 in the dark.
        quality: Range of the JPEG quality of the frames, for the share `compressed` of the solos.
        small_px: Resolution to which frames are reduced, for the share `small` of the solos.
        bars: Probability of bars at two sides.
        bar_width: Width of one bar.
        caption: Probability of a caption or a logo.
    """

    filmed: float = 0.5
    shots: tuple[float, float, float, float] = (0.4, 0.28, 0.2, 0.12)
    full_scale: Range = (0.6, 1.08)
    part_scale: Range = (1.2, 2.0)
    close_length: Range = (0.8, 1.5)
    alone_length: Range = (0.55, 1.05)
    least_visible: float = 0.45
    window: Range = (0.75, 1.0)
    drift: float = 0.12
    shake: float = 0.012
    listeners: tuple[float, ...] = (0.55, 0.25, 0.12, 0.08)
    silent_instrument: float = 0.06
    silent_length: Range = (0.12, 0.22)
    heads: float = 0.08
    depth_of_field: float = 0.45
    dark: float = 0.12
    bright: float = 0.1
    noise: float = 9.0
    compressed: float = 0.5
    quality: Range = (10, 60)
    small: float = 0.25
    small_px: Range = (96, 176)
    bars: float = 0.15
    bar_width: Range = (0.06, 0.17)
    caption: float = 0.2
