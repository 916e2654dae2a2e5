"""Rules: what people decide about a catalog's lists, beside what is learned."""

from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from catalog.models.catalogs import Catalog
from catalog.models.items import Item


class RuleQuerySet(models.QuerySet["Rule"]):
    """Reads of rules."""

    def at_work(self) -> "RuleQuerySet":
        """Those that hold now or will: nobody switched them off, and their time is not over."""
        return self.filter(is_active=True).exclude(ends_at__lte=Now())


class Rule(models.Model):
    """An item at a place, or what to do with the items that a filter means.

    Written by catalog/rules.py; ranking/rules.py carries them out.
    """

    class Kind(models.TextChoices):
        PIN = "pin", gettext_noop("Pin")  # an item at a place
        BOOST = "boost", gettext_noop("Boost")  # scores × factor > 1
        BURY = "bury", gettext_noop("Bury")  # scores × factor < 1; 0 = behind everything else
        EXCLUDE = "exclude", gettext_noop("Exclude")  # never shown

    catalog = models.ForeignKey(Catalog, on_delete=models.CASCADE, related_name="rules")
    kind = models.CharField(max_length=8, choices=Kind)
    filter = models.TextField(blank=True, default="")  # see catalog/item_filter.py; '' of a pin
    item = models.ForeignKey(Item, on_delete=models.CASCADE, null=True, blank=True)  # of a pin
    position = models.PositiveSmallIntegerField(null=True, blank=True)  # of a pin, 0 = first
    factor = models.FloatField(null=True, blank=True)  # of a boost or a burial
    surface = models.CharField(max_length=32, blank=True, default="")  # '' = everywhere
    starts_at = models.DateTimeField(null=True, blank=True)  # None = at once
    ends_at = models.DateTimeField(null=True, blank=True)  # the first moment after it
    is_active = models.BooleanField(default=True)
    note = models.CharField(max_length=200, blank=True, default="")  # why, for colleagues
    created_at = models.DateTimeField(auto_now_add=True)

    objects = RuleQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(kind="pin", item__isnull=False, position__isnull=False, filter="")
                | (Q(kind__in=["boost", "bury", "exclude"], item__isnull=True) & ~Q(filter="")),
                name="rule_pins_an_item_or_filters",
            ),
            models.CheckConstraint(
                condition=Q(kind="boost", factor__gt=1)
                | Q(kind="bury", factor__gte=0, factor__lt=1)
                | Q(kind__in=["pin", "exclude"], factor__isnull=True),
                name="rule_factor_fits_its_kind",
            ),
            models.CheckConstraint(
                condition=Q(starts_at__isnull=True)
                | Q(ends_at__isnull=True)
                | Q(ends_at__gt=F("starts_at")),
                name="rule_ends_after_its_start",
            ),
        ]

    def __str__(self) -> str:
        if self.kind == self.Kind.PIN and self.item is not None:
            told = {"item": self.item.external_id, "place": (self.position or 0) + 1}
            what = _("pin %(item)s at place %(place)d") % told
        else:
            factor = "" if self.factor is None else f" × {self.factor:g}"
            what = f"{_(self.get_kind_display()).lower()} {self.filter}{factor}"
        if not self.surface:
            return what
        return _("%(rule)s on %(surface)s") % {"rule": what, "surface": self.surface}

    def state_at(self, moment: datetime) -> str:
        """off, coming, over, or on."""
        if not self.is_active:
            return "off"
        if self.starts_at and self.starts_at > moment:
            return "coming"
        return "over" if self.ends_at and self.ends_at <= moment else "on"
