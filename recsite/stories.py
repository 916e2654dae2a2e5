"""What the news pages show: slates and plain lists, made into stories."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.text import slugify
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from catalog import events
from catalog.models import Catalog, Interaction, InteractionType, Item, ItemQuerySet, SlateLog, User
from ranking import pipeline
from ranking.types import Query, Slate

WORDS_A_MINUTE = 220
OPINIONS_SINCE = timedelta(days=400)  # bounds the months that a look at likes and hides opens


@dataclass(frozen=True)
class Opinions:
    """Which articles a person has liked, and of which they want less."""

    liked: frozenset[int] = frozenset()
    hidden: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Story:
    """One article at one place of a page."""

    item: Item
    slate_id: uuid.UUID | None = None
    position: int = 0  # in the slate, 0 = first
    reason: str = ""
    liked: bool = False
    hidden: bool = False

    @property
    def url(self) -> str:
        """The article's address; it carries slate and place, so that the click is known."""
        address = reverse("news:article", args=[self.item.pk])
        return f"{address}?s={self.slate_id}&p={self.position}" if self.slate_id else address

    @property
    def section(self) -> str:
        """The section's name."""
        return self.item.department

    @property
    def section_slug(self) -> str:
        """The section's name in addresses."""
        return slugify(self.section)

    @property
    def section_url(self) -> str:
        """The section's page."""
        return reverse("news:section", args=[self.section_slug]) if self.section_slug else ""

    @property
    def paragraphs(self) -> list[str]:
        """The body's paragraphs."""
        return [line.strip() for line in self.item.body.splitlines() if line.strip()]

    @property
    def standfirst(self) -> str:
        """The first paragraph, for cards."""
        return self.paragraphs[0] if self.paragraphs else ""

    @property
    def when(self) -> str:
        """How long ago it came out; the day, once that is more than a week."""
        published = self.item.published_at
        if published is None:
            return ""
        if timezone.now() - published > timedelta(days=7):
            return date_format(published, _("j F"))
        return _("%(time)s ago") % {"time": timesince(published, depth=1)}

    @property
    def minutes(self) -> int:
        """How long it takes to read."""
        return max(1, round(len(self.item.body.split()) / WORDS_A_MINUTE))


@dataclass(frozen=True)
class Shelf:
    """A slate, ready to be shown."""

    slate_id: uuid.UUID | None
    stories: list[Story]

    def __bool__(self) -> bool:
        return bool(self.stories)


NOTHING = Shelf(None, [])


def opinions_of(catalog: Catalog, person: User) -> Opinions:
    """What the person has said so far, in one query."""
    if person.pk is None:
        return Opinions()
    said = Interaction.objects.filter(
        user=person,
        catalog=catalog,
        timestamp__gte=timezone.now() - OPINIONS_SINCE,
        type__in=[InteractionType.LIKE, InteractionType.HIDE],
    ).values_list("type", "item_id")
    ids: dict[str, set[int]] = {InteractionType.LIKE: set(), InteractionType.HIDE: set()}
    for kind, item_id in said:
        ids[kind].add(item_id)
    return Opinions(frozenset(ids[InteractionType.LIKE]), frozenset(ids[InteractionType.HIDE]))


def recommended(query: Query, opinions: Opinions) -> Shelf:
    """A shelf that the ranking filled."""
    return as_shelf(pipeline.recommend(query), opinions)


def as_shelf(slate: Slate, opinions: Opinions, *, start: int = 0) -> Shelf:
    """The stories of a slate from a place on."""
    entries = {entry.item_id: entry for entry in slate.items[start:]}
    stories = [
        Story(
            item=item,
            slate_id=slate.id,
            position=entries[item.pk].position,
            reason=entries[item.pk].reason,
            liked=item.pk in opinions.liked,
        )
        for item in Item.objects.defer("search", "words").in_slate_order(list(entries))
    ]
    return Shelf(slate.id, stories)


def listed(
    catalog: Catalog, person: User, surface: str, items: Sequence[Item], opinions: Opinions
) -> Shelf:
    """A shelf in a fixed order, such as newest first; logged like any other slate."""
    if not items:
        return NOTHING
    row = SlateLog(
        catalog=catalog,
        user=person if person.pk else None,
        surface=surface,
        bundle_id="",
        item_ids=[item.pk for item in items],
        scores=[item.published_at.timestamp() if item.published_at else 0.0 for item in items],
        propensities=[1.0] * len(items),  # nothing here was left to chance
        sources=["newest"] * len(items),
        trace={},
    )
    events.log_slate(row)
    stories = [
        Story(item, row.pk, position, liked=item.pk in opinions.liked)
        for position, item in enumerate(items)
    ]
    return Shelf(row.pk, stories)


def newest(catalog: Catalog, without: Iterable[int] = ()) -> ItemQuerySet:
    """Published articles, newest first."""
    return (
        Item.objects.filter(catalog=catalog, available=True, published_at__lte=timezone.now())
        .exclude(pk__in=list(without))
        .order_by("-published_at", "pk")
        .defer("search", "words")
    )


def sections_of(catalog: Catalog) -> dict[str, str]:
    """Slug → name of each section."""
    paths = Item.objects.filter(catalog=catalog, available=True).exclude(category="")
    names = {path.split(" > ")[0] for path in paths.values_list("category", flat=True).distinct()}
    return {slugify(name): name for name in sorted(names) if slugify(name)}
