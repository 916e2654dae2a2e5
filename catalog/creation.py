"""Make a catalog, and say what it may learn from: other catalogs, attributes of people."""

import re
from typing import Any

from catalog.errors import CatalogError
from catalog.models import EVENT_WEIGHTS, Catalog


def create_catalog(
    slug: str,
    *,
    kind: str,
    name: str = "",
    language: str = "en",
    repeat_consumption: bool = False,
) -> Catalog:
    """A new, empty catalog, whose interactions have their kind's usual weights.

    Raises
    ------
    CatalogError
        When the slug cannot stand in an address, is taken, or the kind is unknown.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,49}", slug):
        raise CatalogError(
            f"'{slug}' cannot name a catalog: use 1 to 50 small letters, digits and hyphens."
        )
    if kind not in EVENT_WEIGHTS:
        raise CatalogError(f"'{kind}' is no kind of item; there are {', '.join(EVENT_WEIGHTS)}.")
    if not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,4})?", language):
        raise CatalogError(f"'{language}' is no language code; write en, zh or the like.")
    if Catalog.objects.filter(slug=slug).exists():
        raise CatalogError(f"There is a catalog '{slug}' already.")
    return Catalog.objects.create(
        slug=slug,
        name=name or slug.replace("-", " ").capitalize(),
        item_kind=kind,
        language=language,
        repeat_consumption=repeat_consumption,
        **usual_settings(kind),
    )


def usual_settings(kind: str) -> dict[str, Any]:
    """What a catalog of this kind begins with: news ages within days, a product stays what it is.

    Fields of Catalog: weights by interaction type, half-life in days, λ of MMR.
    """
    is_news = kind == Catalog.ItemKind.ARTICLE
    return {
        "event_weights": EVENT_WEIGHTS[kind],
        "item_half_life_days": 3.0 if is_news else None,
        "diversity": 0.3 if is_news else 0.1,
    }


def learn_from(catalog: Catalog, slugs: list[str]) -> list[Catalog]:
    """From now on a catalog may learn from these others, and from no other; [] for none.

    Raises
    ------
    CatalogError
        There is no such catalog, or it is the same one.
    """
    others = list(Catalog.objects.filter(slug__in=slugs).order_by("slug"))
    missing = sorted(set(slugs) - {other.slug for other in others})
    if missing:
        known = ", ".join(Catalog.objects.order_by("slug").values_list("slug", flat=True))
        raise CatalogError(f"There is no catalog '{missing[0]}'. Known: {known}.")
    if catalog in others:
        raise CatalogError(f"'{catalog.slug}' learns from itself anyway; name other catalogs.")
    catalog.learns_from.set(others)
    return others


def ignore_attributes(catalog: Catalog, names: list[str]) -> list[str]:
    """From now on a catalog reads all attributes of people but these, and what is within them.

    Nobody need have them yet: they can be named before they are imported.
    """
    ignored = sorted(set(names))
    catalog.ignored_attributes = ignored
    catalog.save(update_fields=["ignored_attributes"])
    return ignored
