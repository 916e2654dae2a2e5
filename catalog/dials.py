"""What a catalog's row says about ranking: weights of interaction types, and the dials."""

import math
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from catalog.errors import CatalogError
from catalog.models import Catalog, InteractionType

HEAVIEST = 5.0  # weight of an interaction type
NEGATIVE = InteractionType.HIDE.value  # the one type that speaks against an item


@dataclass(frozen=True)
class Dial:
    """One number that shifts a catalog's lists at once, without a training."""

    name: str
    label: str  # its name on pages
    field: str  # of Catalog
    low: float
    high: float
    step: float
    words: str  # what it does, for pages
    settings: tuple[float, ...]  # those whose cost is measured


DIALS = {
    dial.name: dial
    for dial in (
        Dial(
            "diversity",
            gettext_noop("Diversity"),
            "diversity",
            0.0,
            1.0,
            0.05,
            gettext_noop("How much neighbours in a list differ. 0 = by score alone."),
            (0.0, 0.1, 0.3, 0.5),
        ),
        Dial(
            "freshness",
            gettext_noop("Freshness"),
            "item_half_life_days",
            0.0,
            90.0,
            0.5,
            gettext_noop(
                "Days in which an item's newness halves; it brings new items among the candidates."
                " 0 = items do not age."
            ),
            (0.0, 1.0, 3.0, 14.0),
        ),
        Dial(
            "popularity",
            gettext_noop("Popularity"),
            "popularity_push",
            -1.0,
            1.0,
            0.1,
            gettext_noop(
                "Towards what many pick (above 0), or away from it. At 1 the most popular candidate"
                " gains thirty places on the least popular one."
            ),
            (-1.0, -0.5, 0.0, 0.5, 1.0),
        ),
        Dial(
            "exploration",
            gettext_noop("Exploration"),
            "exploration",
            0.0,
            0.5,
            0.01,
            gettext_noop(
                "Share of places given by chance to fitting items that few people pick yet; the log"
                " keeps how probable each place was."
            ),
            (0.0, 0.05, 0.1, 0.2),
        ),
    )
}


def counted_types(catalog: Catalog) -> dict[str, float]:
    """The interaction types that a catalog counts, and their weights, in the usual order."""
    weights = catalog.event_weights
    return {name: weights[name] for name in InteractionType.values if name in weights}


def dials_of(catalog: Catalog) -> dict[str, float]:
    """How the dials stand."""
    return {name: float(getattr(catalog, dial.field) or 0.0) for name, dial in DIALS.items()}


def check_weights(weights: Mapping[str, float]) -> None:
    """Refuse weights that make no sense. Errors: CatalogError."""
    for name, weight in weights.items():
        if name not in InteractionType.values:
            known = ", ".join(InteractionType.values)
            raise CatalogError(
                _("'%(name)s' is no interaction type; there are %(known)s.")
                % {"name": name, "known": known}
            )
        if name == NEGATIVE and not -HEAVIEST <= weight < 0:
            raise CatalogError(
                _(
                    "%(name)s must weigh less than 0, -%(most)s at least, so that what people hide"
                    " stays away."
                )
                % {"name": _type_name(name), "most": f"{HEAVIEST:g}"}
            )
        if name != NEGATIVE and not 0 <= weight <= HEAVIEST:
            told = {"name": _type_name(name), "most": f"{HEAVIEST:g}"}
            raise CatalogError(_("%(name)s must weigh 0 to %(most)s.") % told)
    if not any(weight > 0 for weight in weights.values()):
        raise CatalogError(_("At least one interaction type must weigh more than 0."))


def _type_name(name: str) -> str:
    """An interaction type in a sentence."""
    return _(InteractionType(name).label).lower()


def check_dials(dials: Mapping[str, float]) -> None:
    """Refuse dials that make no sense. Errors: CatalogError."""
    for name, value in dials.items():
        if name not in DIALS:
            told = {"name": name, "known": ", ".join(DIALS)}
            raise CatalogError(_("'%(name)s' is no dial; there are %(known)s.") % told)
        dial = DIALS[name]
        if not (math.isfinite(value) and dial.low <= value <= dial.high):
            told = {
                "name": _(dial.label).lower(),
                "low": f"{dial.low:g}",
                "high": f"{dial.high:g}",
            }
            raise CatalogError(_("%(name)s must be %(low)s to %(high)s.") % told)


def with_settings(
    catalog: Catalog, weights: Mapping[str, float], dials: Mapping[str, float]
) -> Catalog:
    """The same catalog with other weights and dials, not saved.

    Raises
    ------
    CatalogError
        A name or a number that makes no sense.
    """
    merged = catalog.event_weights | dict(weights)
    if weights:
        check_weights(merged)
    check_dials(dials)
    changed = copy(catalog)
    changed.event_weights = merged
    for name, value in dials.items():
        field = DIALS[name].field
        setattr(changed, field, (value or None) if field == "item_half_life_days" else value)
    return changed


def set_event_weights(catalog: Catalog, weights: Mapping[str, float]) -> Catalog:
    """Change the weights of some interaction types; the others stay.

    Raises
    ------
    CatalogError
        A type that there is not, or a weight that makes no sense.
    """
    return _save(catalog, weights, {})


def set_dials(catalog: Catalog, dials: Mapping[str, float]) -> Catalog:
    """Turn some dials; the others stay.

    Raises
    ------
    CatalogError
        A dial that there is not, or a number outside its range.
    """
    return _save(catalog, {}, dials)


def _save(catalog: Catalog, weights: Mapping[str, float], dials: Mapping[str, float]) -> Catalog:
    with transaction.atomic():
        locked = Catalog.objects.select_for_update(no_key=True).get(pk=catalog.pk)
        changed = with_settings(locked, weights, dials)
        fields = {DIALS[name].field: getattr(changed, DIALS[name].field) for name in dials}
        Catalog.objects.filter(pk=catalog.pk).update(event_weights=changed.event_weights, **fields)
        changed.touch_rules()
    return changed
