"""The only writer of rules. Serving processes read them again within seconds of a change."""

import math
import re
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

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
        told = {"kind": kind, "known": ", ".join(Rule.Kind.values)}
        raise CatalogError(_("'%(kind)s' is no kind of rule; there are %(known)s.") % told)
    if not re.fullmatch(r"[\w-]{0,32}", surface):
        raise CatalogError(
            _("A surface is named by letters, digits and hyphens, such as shop-home.")
        )
    if starts_at and ends_at and ends_at <= starts_at:
        raise CatalogError(_("A rule must end after its start."))
    rule = Rule(catalog=catalog, kind=kind, surface=surface, note=note.strip()[:200])
    rule.starts_at, rule.ends_at = starts_at, ends_at
    if kind == Rule.Kind.PIN:
        rule.item, rule.position = _pinned(catalog, filter_text, item_id, place)
    else:
        if item_id:
            told = {"kind": _(Rule.Kind(kind).label).lower()}
            raise CatalogError(
                _("An item is named by a pin only; a %(kind)s rule takes a filter.") % told
            )
        parse(filter_text)
        rule.filter, rule.factor = filter_text.strip(), _factor(kind, factor)
    with transaction.atomic():
        Catalog.objects.select_for_update(no_key=True).get(pk=catalog.pk)
        if catalog.rules.count() >= MOST_RULES:
            full = {"name": catalog.name, "most": MOST_RULES}
            raise CatalogError(_("%(name)s has %(most)d rules; remove some first.") % full)
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
        raise CatalogError(_("A pin names one item, by its id; it takes no filter."))
    item = Item.objects.filter(catalog=catalog, external_id=item_id).only("external_id").first()
    if item is None:
        told = {"item": repr(item_id), "name": catalog.name}
        raise CatalogError(_("There is no item %(item)s in %(name)s to pin.") % told)
    if not 1 <= place <= LAST_PLACE:
        raise CatalogError(_("A pin takes a place from 1 to %(last)d.") % {"last": LAST_PLACE})
    return item, place - 1


def _factor(kind: str, factor: float | None) -> float | None:
    if kind not in USUAL_FACTORS:
        return None
    factor = USUAL_FACTORS[kind] if factor is None else factor
    if kind == Rule.Kind.BOOST and not (math.isfinite(factor) and 1 < factor <= HIGHEST_FACTOR):
        told = {"most": f"{HIGHEST_FACTOR:g}"}
        raise CatalogError(_("A boost multiplies by more than 1, by %(most)s at most.") % told)
    if kind == Rule.Kind.BURY and not 0 <= factor < 1:
        raise CatalogError(_("A burial multiplies by 0 or more, and less than 1."))
    return factor
