"""What people did lately, by catalog: counts of the last 24 hours and of each of the last days."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.db.models.functions import TruncDate
from django.utils import timezone

from catalog.models import Catalog, Interaction, InteractionType, SlateLog
from recsite.dashboard.charts import Bar, bars

DAYS = 14
NOTHING = {"shown": 0, "seen": 0, "clicked": 0}


@dataclass(frozen=True)
class Activity:
    """One catalog's traffic."""

    interactions: int  # last 24 hours
    slates: int
    slates_seen: int  # had an item in view, or were clicked
    slates_clicked: int
    interaction_bars: list[Bar]
    slate_bars: list[Bar]

    @property
    def click_rate(self) -> float | None:
        """The share of the slates in view from which something was picked; None without any."""
        return self.slates_clicked / self.slates_seen if self.slates_seen else None


def activity_of(catalogs: list[Catalog]) -> dict[int, Activity]:
    """The traffic of these catalogs, by id, in four queries however many there are."""
    now = timezone.now()
    since = datetime.combine(now.date() - timedelta(days=DAYS - 1), datetime.min.time(), tzinfo=UTC)
    counted = Interaction.objects.counted().filter(catalog__in=catalogs)
    shown = SlateLog.objects.filter(catalog__in=catalogs)
    interactions = _by_day(counted.filter(timestamp__gte=since, timestamp__lte=now), "timestamp")
    slates = _by_day(shown.filter(created_at__gte=since), "created_at")
    day_ago = now - timedelta(days=1)
    recent = {
        row["catalog"]: row["rows"]
        for row in counted.filter(timestamp__gte=day_ago, timestamp__lte=now)
        .values("catalog")
        .annotate(rows=Count("pk"))
    }
    clicked = Q(
        pk__in=Interaction.objects.filter(timestamp__gte=day_ago, slate_id__isnull=False)
        .exclude(type=InteractionType.HIDE)
        .values("slate_id")
    )
    figures: dict[int, Any] = {
        row["catalog"]: row
        for row in shown.filter(created_at__gte=day_ago)
        .values("catalog")
        .annotate(
            shown=Count("pk"),
            seen=Count("pk", filter=Q(seen_positions__len__gt=0) | clicked),
            clicked=Count("pk", filter=clicked),
        )
    }
    days = [since.date() + timedelta(days=offset) for offset in range(DAYS)]
    return {
        catalog.pk: Activity(
            interactions=recent.get(catalog.pk, 0),
            slates=figures.get(catalog.pk, NOTHING)["shown"],
            slates_seen=figures.get(catalog.pk, NOTHING)["seen"],
            slates_clicked=figures.get(catalog.pk, NOTHING)["clicked"],
            interaction_bars=bars([(day, interactions[catalog.pk, day]) for day in days]),
            slate_bars=bars([(day, slates[catalog.pk, day]) for day in days]),
        )
        for catalog in catalogs
    }


def _by_day(rows: QuerySet[Any], field: str) -> Counter[tuple[int, date]]:
    """(catalog id, UTC day) → number of rows."""
    grouped = rows.values("catalog", day=TruncDate(field, tzinfo=UTC)).annotate(rows=Count("pk"))
    return Counter({(row["catalog"], row["day"]): row["rows"] for row in grouped.order_by()})
