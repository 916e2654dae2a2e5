"""What shelves and cards need in templates."""

import uuid

from django import template
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from catalog.models import Item
from recsite import tiles

register = template.Library()


@register.filter
def tile(item: Item) -> tiles.Tile:
    """The drawn tile of an item."""
    return tiles.tile_for(item)


@register.filter
def category_tile(path: str) -> tiles.Tile:
    """The drawn tile of a category path."""
    return tiles.tile_for_category(path)


@register.simple_tag
def item_url(item: Item, slate_id: object = None, position: int | None = None) -> str:
    """An item's page; slate and position ride along, so that a click counts without scripts."""
    page = "article" if item.catalog.item_kind == "article" else "product"
    try:
        address = reverse(f"{item.catalog.slug}:{page}", args=[item.pk])
    except NoReverseMatch:  # a catalog without pages of its own
        return ""
    if slate_id is None or position is None:
        return address
    return f"{address}?s={slate_id}&p={position}"


@register.simple_tag
def new_event_id() -> str:
    """A fresh event id for a form, so that sending it twice is one event."""
    return str(uuid.uuid4())


@register.filter
def short_title(item: Item) -> str:
    """The title without the size at its end; cards say the size on a line of its own."""
    size = item.attributes.get("size")
    return item.title.removesuffix(f", {size}") if size else item.title


@register.filter
def breakable(text: str) -> SafeString:
    """A text whose words may be parted after a slash, where a narrow card needs it."""
    return format_html_join(SafeString("/<wbr>"), "{}", ((part,) for part in text.split("/")))


@register.filter
def note(item: Item) -> str:
    """The line below a card's title: the size, else the second part of the category."""
    parts = item.category.split(" > ")
    return str(item.attributes.get("size") or (parts[1] if len(parts) > 1 else parts[0]))


@register.filter
def last_part(path: str) -> str:
    """The last part of a category path."""
    return path.rsplit(" > ", maxsplit=1)[-1]
