"""The only writer of rules. Serving processes read them again within seconds of a change."""

import math
import re
from datetime import datetime

from django.db import transaction

from catalog.errors import CatalogError
from catalog.item_filter import parse
from catalog.models import Catalog, Item, Rule

MOST_RULES = 200  # of one catalog: each is looked at in each request
LAST_PLACE = 100  # that a pin may take; slates are no longer
USUAL_FACTORS = {Rule.Kind.BOOST.value: 2.0, Rule.Kind.BURY.value: 0.0}
HIGHEST_FACTOR = 100.0


def add_rule(
    catalog: Catalog,
    kind: str,
    *,
    filter_text: str = "",
    item_id: str = "",
    place: int = 1,
    factor: float | None = None,
    surface: str = "",
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    note: str = "",
) -> Rule:
    """Add a rule.

    Parameters
    ----------
    kind
        pin, boost, bury or exclude.
    filter_text
        The items that it means, in the grammar of catalog/item_filter.py; not of a pin.
    item_id, place
        The external id of the item that is pinned, and where; 1 = first.
    factor
        What scores are multiplied with; None = 2 for a boost, 0 for a burial.
    surface
        Where it holds, such as shop-home; '' = everywhere.

    Raises
    ------
    CatalogError
        Something makes no sense; FilterError says where in the filter.
    """
    if kind not in Rule.Kind.values:
        raise CatalogError(f"'{kind}' is no kind of rule; there are {', '.join(Rule.Kind.values)}.")
    if not re.fullmatch(r"[\w-]{0,32}", surface):
        raise CatalogError("A surface is named by letters, digits and hyphens, such as shop-home.")
    if starts_at and ends_at and ends_at <= starts_at:
        raise CatalogError("A rule must end after its start.")
    rule = Rule(catalog=catalog, kind=kind, surface=surface, note=note.strip()[:200])
    rule.starts_at, rule.ends_at = starts_at, ends_at
    if kind == Rule.Kind.PIN:
        rule.item, rule.position = _pinned(catalog, filter_text, item_id, place)
    else:
        if item_id:
            raise CatalogError(f"An item is named by a pin only; a {kind} rule takes a filter.")
        parse(filter_text)
        rule.filter, rule.factor = filter_text.strip(), _factor(kind, factor)
    with transaction.atomic():
        Catalog.objects.select_for_update(no_key=True).get(pk=catalog.pk)
        if catalog.rules.count() >= MOST_RULES:
            raise CatalogError(f"{catalog.name} has {MOST_RULES} rules; remove some first.")
        rule.save()
        catalog.touch_rules()
    return rule


def switch_rule(rule: Rule, *, on: bool) -> None:
    """Let a rule hold, or not for now."""
    with transaction.atomic():
        Rule.objects.filter(pk=rule.pk).update(is_active=on)
        rule.catalog.touch_rules()


def remove_rule(rule: Rule) -> None:
    """Forget a rule."""
    with transaction.atomic():
        Rule.objects.filter(pk=rule.pk).delete()
        rule.catalog.touch_rules()


def _pinned(catalog: Catalog, filter_text: str, item_id: str, place: int) -> tuple[Item, int]:
    if filter_text:
        raise CatalogError("A pin names one item, by its id; it takes no filter.")
    item = Item.objects.filter(catalog=catalog, external_id=item_id).only("external_id").first()
    if item is None:
        raise CatalogError(f"There is no item {item_id!r} in {catalog.name} to pin.")
    if not 1 <= place <= LAST_PLACE:
        raise CatalogError(f"A pin takes a place from 1 to {LAST_PLACE}.")
    return item, place - 1


def _factor(kind: str, factor: float | None) -> float | None:
    if kind not in USUAL_FACTORS:
        return None
    factor = USUAL_FACTORS[kind] if factor is None else factor
    if kind == Rule.Kind.BOOST and not (math.isfinite(factor) and 1 < factor <= HIGHEST_FACTOR):
        raise CatalogError(f"A boost multiplies by more than 1, by {HIGHEST_FACTOR:g} at most.")
    if kind == Rule.Kind.BURY and not 0 <= factor < 1:
        raise CatalogError("A burial multiplies by 0 or more, and less than 1.")
    return factor
