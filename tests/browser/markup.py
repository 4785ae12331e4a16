"""What is wrong in a page's HTML: the parse errors of the standard, and rules that a parser does not know."""

from collections import Counter
from collections.abc import Iterator
from xml.etree.ElementTree import Element

import html5lib
from html5lib.constants import E as SENTENCES

REFERENCES = ("for", "aria-labelledby", "aria-describedby", "aria-controls", "headers", "list", "form")
INTERACTIVE = ("a", "button", "select", "textarea", "label", "summary")


def faults(page: str) -> list[str]:
    parser = html5lib.HTMLParser(namespaceHTMLElements=False)
    tree = parser.parse(page)
    lines = page.split("\n")
    found = [
        f"line {line}: {SENTENCES.get(code, code) % values}: {lines[line - 1].strip()[:160]}"
        for (line, _), code, values in parser.errors
    ]
    elements = [each for each in tree.iter() if isinstance(each.tag, str)]
    return [*found, *_identifiers(elements), *_attributes(elements), *_nesting(tree), *_names(elements)]


def _identifiers(elements: list[Element]) -> Iterator[str]:
    counted = Counter(each.get("id") for each in elements if each.get("id") is not None)
    yield from (f"id {name!r} is there {count} times" for name, count in counted.items() if count > 1)
    yield from (f"id {name!r} is empty or has a space" for name in counted if not name or " " in name)
    for each in elements:
        for attribute in REFERENCES:
            for name in (each.get(attribute) or "").split():
                if name not in counted:
                    yield f"<{each.tag} {attribute}={name!r}>: nothing has this id"


def _attributes(elements: list[Element]) -> Iterator[str]:
    for each in elements:
        for name in map(str, each.attrib):
            if name == "style" or name.startswith("on"):
                yield f"<{each.tag}> has an attribute {name}"
            if name.startswith("hx-") and not each.tag.startswith("hx-"):
                yield f"<{each.tag}> has {name}, which is no attribute of HTML: write data-{name}"
        is_code = each.tag == "script" and not each.get("src") and each.get("type") != "application/json"
        if each.tag == "style" or (is_code and (each.text or "").strip()):
            yield f"an inline <{each.tag}>: {(each.text or '')[:60]!r}"


def _nesting(element: Element, inside: str = "") -> Iterator[str]:
    if inside and element.tag in INTERACTIVE and (inside, element.tag) != ("label", "select"):
        yield f"<{element.tag}> stands inside <{inside}>"
    within = element.tag if element.tag in ("a", "button") else inside
    for child in element:
        if isinstance(child.tag, str):
            yield from _nesting(child, within)


def _names(elements: list[Element]) -> Iterator[str]:
    tags = Counter(each.tag for each in elements)
    yield from (f"there are {tags[tag]} <{tag}>" for tag in ("title", "h1", "main") if tags[tag] != 1)
    yield from (
        f"<img src={each.get('src')!r}> has no alt"
        for each in elements
        if each.tag == "img" and each.get("alt") is None
    )
    if not next((each.get("lang") for each in elements if each.tag == "html"), ""):
        yield "<html> says no language"
