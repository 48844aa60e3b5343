"""The template of all pages: head, style, script, sections and the links to them."""

from collections.abc import Sequence
from importlib import resources
from string import Template
from typing import NamedTuple


class Section(NamedTuple):
    """A part of a page, left out without content.

    Attributes:
        anchor: Its address within the page.
        title: Heading; empty for a part without heading and link.
        content: HTML.
    """

    anchor: str
    title: str
    content: str


class Assets(NamedTuple):
    """What a page needs beyond the common style sheet and script.

    Attributes:
        styles: Style sheets.
        scripts: Scripts, which run after the common one.
    """

    styles: Sequence[str] = ()
    scripts: Sequence[str] = ()


def page(
    *,
    title: str,
    kind: str,
    heading: str,
    subtitle: str,
    hero: str,
    sections: Sequence[Section],
    foot: str,
    more: Assets | None = None,
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
        more: Further style sheets and scripts.
    """
    assets, more = resources.files("mpnet_jax.report"), more or Assets()
    shown = [section for section in sections if section.content]
    parts = {
        "title": title,
        "kind": kind,
        "heading": heading,
        "subtitle": subtitle,
        "hero": hero,
        "contents": "".join(
            f'<li><a href="#{section.anchor}">{section.title}</a></li>' for section in shown if section.title
        ),
        "sections": "".join(_section(section) for section in shown),
        "foot": foot,
        "css": "\n".join([(assets / "report.css").read_text(encoding="utf-8"), *more.styles]),
        "js": "\n".join([(assets / "report.js").read_text(encoding="utf-8"), *more.scripts]),
    }
    return Template((assets / "page.html").read_text(encoding="utf-8")).substitute(parts)


def _section(section: Section) -> str:
    if not section.title:
        return section.content
    return (
        f'<section aria-labelledby="{section.anchor}"><h2 id="{section.anchor}">{section.title}</h2>'
        f"{section.content}</section>"
    )
