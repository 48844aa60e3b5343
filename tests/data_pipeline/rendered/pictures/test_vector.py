"""SVG files: rendering, no access to other files, limits."""

import base64
import io
import sys

import numpy as np
import pytest
from PIL import Image

from data_pipeline.command import InputError
from data_pipeline.rendered.pictures.vector import UnusableSvg, render_svg

HEAD = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 40 40"'
BLUE = '<rect x="10" y="10" width="20" height="20" fill="#0000ff"/>'


def rendered(body, *, head="", root=HEAD, side_px=40):
    return np.asarray(render_svg(f"{head}<svg {root}>{body}</svg>".encode(), side_px=side_px))


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret.png"
    Image.new("RGB", (40, 40), (255, 0, 0)).save(path)
    return path


def test_shapes_are_drawn_on_transparency():
    pixels = rendered(BLUE)
    assert tuple(pixels[20, 20]) == (0, 0, 255, 255)
    assert tuple(pixels[2, 2]) == (0, 0, 0, 0)


def test_the_longer_side_has_the_wanted_size():
    for root in ('viewBox="0 0 100 20"', 'width="100mm" height="20mm"', 'width="100" height="20"'):
        pixels = rendered('<rect width="100" height="20"/>', root=f'xmlns="http://www.w3.org/2000/svg" {root}')
        assert pixels.shape[1] == 40 and 7 <= pixels.shape[0] <= 9
    wide = rendered('<rect width="9" height="9"/>', root='xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 100000"')
    assert max(wide.shape) <= 40


def test_references_inside_the_file_work():
    body = f'<defs><g id="a">{BLUE}</g><linearGradient id="g"><stop stop-color="#00ff00"/></linearGradient></defs>'
    assert tuple(rendered(f'{body}<use xlink:href="#a"/>')[20, 20]) == (0, 0, 255, 255)
    assert tuple(rendered(f'{body}<rect width="40" height="40" fill="url(#g)"/>')[20, 20]) == (0, 255, 0, 255)


@pytest.mark.parametrize("address", ["{path}", "file://{path}", "secret.png", "../secret.png"])
@pytest.mark.parametrize("attribute", ["href", "xlink:href"])
@pytest.mark.parametrize("element", ["image", "feImage"])
def test_other_files_are_not_read(secret, monkeypatch, address, attribute, element):
    monkeypatch.chdir(secret.parent)
    address = address.format(path=secret)
    body = f'<image {attribute}="{address}" width="40" height="40"/>'
    if element == "feImage":
        body = f'<filter id="f"><feImage {attribute}="{address}"/></filter><g filter="url(#f)">{BLUE}</g>'
    pixels = rendered(BLUE + body)
    assert not ((pixels[..., 0] > 100) & (pixels[..., 2] < 100)).any()


def test_an_address_in_an_entity_is_not_read(secret):
    head = f'<!DOCTYPE svg [<!ENTITY where "{secret}">]>'
    assert rendered(f'{BLUE}<image href="&where;" width="40" height="40"/>', head=head)[..., 0].max() == 0


def test_nested_documents_are_not_read(secret):
    inner = f'<svg {HEAD}><image href="{secret}" width="40" height="40"/></svg>'
    data = base64.b64encode(inner.encode()).decode()
    body = f'{BLUE}<image href="data:image/svg+xml;base64,{data}" width="40" height="40"/>'
    assert rendered(body)[..., 0].max() == 0


def test_external_entities_and_style_sheets_are_not_read(secret, tmp_path):
    with pytest.raises(UnusableSvg, match="damaged"):
        rendered("<text>&x;</text>", head='<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>')
    sheet = tmp_path / "sheet.css"
    sheet.write_text("rect { fill: red }")
    head = f'<?xml-stylesheet href="{sheet}"?><!DOCTYPE svg SYSTEM "http://127.0.0.1:1/svg.dtd">'
    assert rendered(f"<style>@import url({sheet});</style>{BLUE}", head=head)[..., 0].max() == 0


def test_internal_entities_are_expanded():
    """Files of old drawing programs name their namespaces by entities."""
    head = '<!DOCTYPE svg [<!ENTITY colour "#0000ff">]>'
    assert tuple(rendered('<rect width="40" height="40" fill="&colour;"/>', head=head)[20, 20]) == (0, 0, 255, 255)


def test_embedded_pictures_are_shown_unless_they_are_huge():
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (0, 255, 0)).save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    body = '<image href="data:image/png;base64,{}" width="40" height="40"/>'
    assert tuple(rendered(body.format(data))[20, 20]) == (0, 255, 0, 255)
    huge = bytearray(file.getvalue())
    huge[16:24] = (60_000).to_bytes(4, "big") * 2  # the header's width and height
    assert rendered(body.format(base64.b64encode(huge).decode()) + BLUE)[2, 2, 3] == 0


def test_bombs_are_refused():
    uses = "".join(f'<g id="a{k}"><use href="#a{k + 1}"/><use href="#a{k + 1}"/></g>' for k in range(40))
    with pytest.raises(UnusableSvg, match="too large"):
        rendered(f'<defs>{uses}<g id="a40">{BLUE}</g></defs><use href="#a0"/>')
    with pytest.raises(UnusableSvg, match="nested too deeply"):
        rendered("<g>" * 5000 + "</g>" * 5000)
    with pytest.raises(UnusableSvg, match="nested too deeply"):
        rendered('<g id="a"><use href="#b"/></g><g id="b"><use href="#a"/></g>')
    entities = "".join(f'<!ENTITY e{k + 1} "{f"&e{k};" * 10}">' for k in range(12))
    with pytest.raises(UnusableSvg, match="damaged"):
        rendered("<desc>&e12;</desc>", head=f'<!DOCTYPE svg [<!ENTITY e0 "x">{entities}]>')


@pytest.mark.parametrize("content", [b"", b"<svg", b"<html/>", b"\x00\xff\xfe", "<svg/>".encode("utf-16")[:7]])
def test_what_is_no_svg_is_damaged(content):
    with pytest.raises(UnusableSvg, match="damaged"):
        render_svg(content, side_px=40)


def test_a_missing_renderer_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(InputError, match="SVG pictures need the package resvg-py; run `pip install"):
        rendered(BLUE)
