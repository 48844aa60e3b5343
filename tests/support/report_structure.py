"""Parses pages for tests."""

from html.parser import HTMLParser

VOID = {"meta", "link", "img", "input", "br", "hr", "wbr"}


class Structure(HTMLParser):
    """A page's tags, attributes and text; raises AssertionError where tags are not closed in order."""

    def __init__(self, source):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(source)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (self.open[-3:], tag, self.getpos())
        self.open.pop()

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def read(path):
    return Structure(path.read_text(encoding="utf-8"))
