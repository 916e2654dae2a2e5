"""The tree of categories of a catalog, with an address and a count each."""

from dataclasses import dataclass, field
from functools import lru_cache

from django.db.models import Count
from django.utils.text import slugify

from catalog.models import Catalog, Item

SEPARATOR = " > "


@dataclass
class Aisle:
    """One category: a department, or what lies below it."""

    path: str  # as items carry it: "Dairy > Cheese"
    name: str  # the last part
    slug: str  # its address below /aisles/: "dairy/cheese"
    count: int = 0  # available items in it and below
    children: list["Aisle"] = field(default_factory=list)  # most items first
    parents: tuple["Aisle", ...] = ()  # from the department down


@dataclass(frozen=True)
class Aisles:
    """The whole tree, and two ways to find a place in it."""

    departments: list[Aisle]
    by_slug: dict[str, Aisle]
    by_path: dict[str, Aisle]


def aisles_of(catalog: Catalog) -> Aisles:
    """The tree of a catalog; built once for each state of its items."""
    return _build(catalog.pk, catalog.items_version)


@lru_cache(maxsize=8)
def _build(catalog_id: int, items_version: int) -> Aisles:
    counts = (
        Item.objects.filter(catalog_id=catalog_id, available=True)
        .exclude(category="")
        .values_list("category")
        .annotate(items=Count("pk"))
        .order_by("category")
    )
    tree = Aisles([], {}, {})
    for path, items in counts:
        parts = path.split(SEPARATOR)
        above: tuple[Aisle, ...] = ()
        for depth in range(len(parts)):
            aisle = _place(tree, parts[: depth + 1], above)
            aisle.count += items
            above = (*above, aisle)
    for siblings in (tree.departments, *(aisle.children for aisle in tree.by_path.values())):
        siblings.sort(key=lambda aisle: (-aisle.count, aisle.name))
    return tree


def _place(tree: Aisles, parts: list[str], above: tuple[Aisle, ...]) -> Aisle:
    """The aisle of this path, added to the tree if it isn't there yet."""
    path = SEPARATOR.join(parts)
    if path in tree.by_path:
        return tree.by_path[path]
    slug = _free_slug(tree, parts[-1], above)
    aisle = Aisle(path, parts[-1], slug, parents=above)
    tree.by_path[path] = tree.by_slug[slug] = aisle
    (above[-1].children if above else tree.departments).append(aisle)
    return aisle


def _free_slug(tree: Aisles, name: str, above: tuple[Aisle, ...]) -> str:
    """An address that no other aisle has; names in scripts without ASCII keep their letters."""
    own = slugify(name) or slugify(name, allow_unicode=True) or "aisle"
    stem = f"{above[-1].slug}/{own}" if above else own
    slug, number = stem, 1
    while slug in tree.by_slug:
        number += 1
        slug = f"{stem}-{number}"
    return slug
