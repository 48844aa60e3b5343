"""Renews the picture of the README: `python docs/take_picture.py runs/demo/apart/index.html docs/page.png`.

It opens a page of `mpnet-jax separate` in Chromium (`chromium` on the PATH, with playwright from the extra `dev`),
seeks and stores what is seen. `make demo` writes the page.
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

SIZE = {"width": 1280, "height": 1000}
SECONDS = 7.0


def main(index: Path, out: Path) -> None:
    """Takes the picture.

    Args:
        index: The page.
        out: PNG file to write, with 256 colours.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.goto(index.absolute().as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        box = page.locator(".wave").first.bounding_box()
        assert box is not None
        seconds = float(page.get_attribute("#listen", "data-seconds") or 1)
        page.mouse.click(box["x"] + box["width"] * min(1.0, SECONDS / seconds), box["y"] + box["height"] / 2)
        page.wait_for_function("[...document.querySelectorAll('audio, video:not([hidden])')].every((m) => !m.seeking)")
        page.mouse.move(0, 0)
        page.wait_for_timeout(1000)
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        browser.close()
    picture.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG).save(out, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
