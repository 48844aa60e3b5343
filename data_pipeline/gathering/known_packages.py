"""Says which files of which packages show which instrument, and under which licence."""

import dataclasses
from typing import Literal

# Names of icons and of emoji -> class. The emoji of a guitar is an electric one in most sets.
CLASS_OF_NAME = {
    "accordion": "accordion",
    "cello": "cello",
    "clarinet": "clarinet",
    "erhu": "erhu",
    "flute": "flute",
    "guitar": "acoustic_guitar",
    "guitar-acoustic": "acoustic_guitar",
    "saxophone": "saxophone",
    "trumpet": "trumpet",
    "tuba": "tuba",
    "violin": "violin",
    "xylophone": "xylophone",
}
NAME_OF_CODEPOINT = {
    "1f3b7": "saxophone",
    "1f3b8": "guitar",
    "1f3ba": "trumpet",
    "1f3bb": "violin",
    "1fa88": "flute",
    "1fa97": "accordion",
}
# Left out: mutes without a trumpet, two instruments in one picture, electric guitars, and the black-and-white versions
# of coloured drawings.
CLASS_OF_CLIPART = {
    "cello_ganson": "cello",
    "cello_mo_01": "cello",
    "flute_ganson": "flute",
    "guitar_ganson": "acoustic_guitar",
    "guitar_jarno_vasamaa1": "acoustic_guitar",
    "guitar_profile_philippe__01": "acoustic_guitar",
    "saxophone_jarno_vasamaa_": "saxophone",
    "trumpet_b_flat_colour_ganso": "trumpet",
    "trumpet_pocket_colour_ganso": "trumpet",
    "violin_colour_ganson": "violin",
    "xylophone_ganson": "xylophone",
}


@dataclasses.dataclass(frozen=True)
class Drawings:
    """One set of drawings in a package.

    Attributes:
        drawings: Name of the set. Packages that hold the same drawings share it, and one of them is used.
        licence: Licence of the pictures, as SPDX names it where it can, which may differ from the package's.
        source: Address of their authors.
        layout: "iconify": `icons.json` with icons by name; "codepoint" and "name": files named by the emoji's code
            point or name; "clipart": files in `CLASS_OF_CLIPART`; "font": a colour font.
        folder: Folder of the files.
    """

    drawings: str
    licence: str
    source: str
    layout: Literal["iconify", "codepoint", "name", "clipart", "font"] = "iconify"
    folder: str = ""


_NOTO = ("noto", "Apache-2.0", "https://github.com/googlefonts/noto-emoji")
_OPENMOJI = ("openmoji", "CC-BY-SA-4.0", "https://openmoji.org")
_TWEMOJI = ("twemoji", "CC-BY-4.0", "https://github.com/jdecked/twemoji")
_FLUENT = ("fluent", "MIT", "https://github.com/microsoft/fluentui-emoji")
_FLUENT_FLAT = ("fluent-flat", "MIT", "https://github.com/microsoft/fluentui-emoji")

# Where packages share drawings, the first one is preferred.
KNOWN: dict[str, tuple[Drawings, ...]] = {
    "@iconify-json/emojione": (Drawings("emojione", "CC-BY-4.0", "https://github.com/EmojiTwo/emojitwo"),),
    "@iconify-json/emojione-v1": (
        Drawings("emojione-v1", "CC-BY-SA-4.0", "https://github.com/joypixels/emojione-legacy"),
    ),
    "@iconify-json/fluent-emoji": (Drawings(*_FLUENT),),
    "@iconify-json/fluent-emoji-flat": (Drawings(*_FLUENT_FLAT),),
    "@iconify-json/fxemoji": (Drawings("fxemoji", "Apache-2.0", "https://github.com/mozilla/fxemoji"),),
    "@iconify-json/game-icons": (Drawings("game-icons", "CC-BY-3.0", "https://game-icons.net"),),
    "@iconify-json/mdi": (Drawings("mdi", "Apache-2.0", "https://github.com/Templarian/MaterialDesign"),),
    "@iconify-json/noto": (Drawings(*_NOTO),),
    "@iconify-json/noto-v1": (Drawings("noto-v1", *_NOTO[1:]),),
    "@iconify-json/openmoji": (Drawings(*_OPENMOJI),),
    "@iconify-json/streamline-emojis": (
        Drawings("streamline-emojis", "CC-BY-4.0", "https://github.com/webalys-hq/streamline-vectors"),
    ),
    "@iconify-json/twemoji": (Drawings(*_TWEMOJI),),
    "@lobehub/fluent-emoji-3d": (Drawings(*_FLUENT, "codepoint", "assets"),),
    "@lobehub/fluent-emoji-flat": (Drawings(*_FLUENT_FLAT, "codepoint", "assets"),),
    "@twemoji/svg": (Drawings(*_TWEMOJI, "codepoint"),),
    "fluentui-emoji": (
        Drawings(*_FLUENT, "name", "icons/modern"),
        Drawings(*_FLUENT_FLAT, "name", "icons/flat"),
    ),
    "fonts-noto-color-emoji": (
        Drawings("noto", "OFL-1.1", _NOTO[2], "font", "usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"),
    ),
    "openclipart-svg": (
        Drawings(
            "openclipart",
            "public domain",
            "https://openclipart.org",
            "clipart",
            "usr/share/openclipart/svg/recreation/music",
        ),
    ),
    "openmoji": (Drawings(*_OPENMOJI, "codepoint", "color/svg"),),
}
