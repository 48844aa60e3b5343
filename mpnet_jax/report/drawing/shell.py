"""The template of all pages: head, style, script, sections and the links to them."""

from collections.abc import Sequence
from importlib import resources
from string import Template
from typing import NamedTuple


class Section(NamedTuple):
    """A part of a page, left out without content.

    Attributes:
        anchor: Its address within the page.
        title: Heading.
        content: HTML.
    """

    anchor: str
    title: str
    content: str


def page(
    *, title: str, kind: str, heading: str, subtitle: str, hero: str, sections: Sequence[Section], foot: str
) -> str:
    """Returns a page as HTML that needs no other file but the media it links.

    Args:
        title: Escaped title of the browser's tab.
        kind: Type of the page.
        heading: Escaped heading.
        subtitle: HTML below the heading.
        hero: HTML of the upper part.
        sections: Sections in their order.
        foot: HTML below the sections.
    """
    assets = resources.files("mpnet_jax.report")
    shown = [section for section in sections if section.content]
    parts = {
        "title": title,
        "kind": kind,
        "heading": heading,
        "subtitle": subtitle,
        "hero": hero,
        "contents": "".join(f'<li><a href="#{section.anchor}">{section.title}</a></li>' for section in shown),
        "sections": "".join(
            f'<section aria-labelledby="{section.anchor}"><h2 id="{section.anchor}">{section.title}</h2>'
            f"{section.content}</section>"
            for section in shown
        ),
        "foot": foot,
        "css": (assets / "report.css").read_text(encoding="utf-8"),
        "js": (assets / "report.js").read_text(encoding="utf-8"),
    }
    return Template((assets / "page.html").read_text(encoding="utf-8")).substitute(parts)
