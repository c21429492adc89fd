"""Parts of pages that are the same for many readers: rendered once for each process, language and set of values."""

import re
from typing import Any

from django import template
from django.template import Context, Node, NodeList
from django.template.base import FilterExpression, Parser, Token
from django.utils.safestring import SafeString
from django.utils.translation import get_language

register = template.Library()
MAX_KEPT = 256  # of one part; when there are more, all are rendered again
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class KeptNode(Node):
    """A part of a template with the values that it depends on."""

    def __init__(self, nodelist: NodeList, values: list[FilterExpression]) -> None:
        self.nodelist = nodelist
        self.values = values
        self.kept: dict[tuple[Any, ...], SafeString] = {}

    def render(self, context: Context) -> SafeString:
        """The part as it was rendered for the same values."""
        key = (get_language(), *[value.resolve(context) for value in self.values])
        found = self.kept.get(key)
        if found is None:
            if len(self.kept) >= MAX_KEPT:
                self.kept.clear()
            found = self.kept[key] = self.nodelist.render(context)
        return found


@register.tag
def kept(parser: Parser, token: Token) -> KeptNode:
    """`{% kept a b %}…{% endkept %}`: what is inside depends on nothing but these values and the language.

    So it shows nothing of a user or of a row unless the values name it.
    """
    values = [parser.compile_filter(each) for each in token.split_contents()[1:]]
    nodelist = parser.parse(("endkept",))
    parser.delete_first_token()
    return KeptNode(nodelist, values)


@register.filter
def without_ids(path: str) -> str:
    """The path with a star for each id: the pages of all rows of a kind are at the same place of a menu."""
    return UUID.sub("*", path)
