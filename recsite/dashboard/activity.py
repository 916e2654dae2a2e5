"""What people did lately, by catalog: hour by hour for two days, and shares of the last day."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext_noop

from catalog.models import Catalog, InteractionType
from recsite.dashboard.charts import Bar, bars
from recsite.fresh import Fresh
from training.online import Share, Shown, shown_by

HOURS = 48
HOUR = timedelta(hours=1)
DAY_HOURS = 24
FRESH_FOR = 10.0  # seconds; two days of a busy site are millions of rows
WHILE_NEW = 60.0  # seconds for which the last look will do while a new one is taken
GOALS = {
    "article": ("read", gettext_noop("Read something"))
}  # item kind → what a visit is for, and its words
USUAL_GOAL = (InteractionType.PURCHASE.value, gettext_noop("Bought something"))

INTERACTIONS_SQL = """
SELECT catalog_id, date_trunc('hour', "timestamp", 'UTC') AS hour, count(*)
FROM catalog_interaction
WHERE catalog_id = ANY(%s) AND "timestamp" >= %s AND "timestamp" <= %s AND NOT is_suspected
GROUP BY 1, 2
"""
PEOPLE_SQL = """
SELECT catalog_id, count(DISTINCT user_id),
       count(DISTINCT user_id) FILTER (WHERE type = 'purchase'),
       count(DISTINCT user_id) FILTER (WHERE type = 'read')
FROM catalog_interaction
WHERE catalog_id = ANY(%s) AND "timestamp" >= %s AND "timestamp" <= %s AND NOT is_suspected
GROUP BY 1
"""


@dataclass(frozen=True)
class Activity:
    """One catalog's traffic. A day is the last 24 hours of the clock, the present one included."""

    interactions: int  # of the last day
    shown: Shown  # in the last day
    before: Shown  # in the day before
    converted: Share  # people who reached the goal of a visit, of those who did anything
    goal: str  # that goal in words
    interaction_bars: list[Bar]
    impression_bars: list[Bar]


def activity_of(catalogs: list[Catalog]) -> dict[int, Activity]:
    """The traffic of these catalogs, by id, in three queries however many there are."""
    now = timezone.now()
    this_hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    hours = [this_hour - HOUR * back for back in range(HOURS - 1, -1, -1)]
    ids = [catalog.pk for catalog in catalogs]
    slates = shown_by("hour", ids, hours[0], now + HOUR)
    done, people = _interactions(ids, hours[0], now), _people(ids, hours[-DAY_HOURS], now)
    found = {}
    for catalog in catalogs:
        shown = [slates.get((catalog.pk, hour), Shown()) for hour in hours]
        counts = [done[catalog.pk, hour] for hour in hours]
        came, reached = people.get(catalog.pk, (0, {}))
        goal, words = GOALS.get(catalog.item_kind, USUAL_GOAL)
        found[catalog.pk] = Activity(
            interactions=sum(counts[-DAY_HOURS:]),
            shown=sum(shown[-DAY_HOURS:], Shown()),
            before=sum(shown[:-DAY_HOURS], Shown()),
            converted=Share(reached.get(goal, 0), came),
            goal=words,
            interaction_bars=bars(list(zip(hours, counts, strict=True)), HOURS),
            impression_bars=bars(
                [(hour, one.impressions) for hour, one in zip(hours, shown, strict=True)], HOURS
            ),
        )
    return found


def _interactions(
    catalogs: list[int], begin: datetime, end: datetime
) -> Counter[tuple[int, datetime]]:
    """(catalog id, start of the hour) → number of interactions."""
    with connection.cursor() as cursor:
        cursor.execute(INTERACTIONS_SQL, [catalogs, begin, end])
        return Counter(
            {(catalog, hour.astimezone(UTC)): rows for catalog, hour, rows in cursor.fetchall()}
        )


def _people(
    catalogs: list[int], begin: datetime, end: datetime
) -> dict[int, tuple[int, dict[str, int]]]:
    """Catalog id → how many people did anything, and how many of them each goal."""
    with connection.cursor() as cursor:
        cursor.execute(PEOPLE_SQL, [catalogs, begin, end])
        return {
            catalog: (came, {"purchase": bought, "read": read})
            for catalog, came, bought, read in cursor.fetchall()
        }


def look() -> dict[int, Activity]:
    """The traffic of every catalog."""
    return activity_of(list(Catalog.objects.all()))


traffic = Fresh(look, FRESH_FOR, WHILE_NEW)
