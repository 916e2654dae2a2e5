"""Playground: the same question put to two bundles, and their lists next to each other.

The real pipeline answers, with each bundle's state; nothing is logged. What is live is in memory
already. Of other bundles this process holds one at most; to load one takes seconds, so that goes on
beside the page.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from django.db.models import Q
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, render
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from catalog.models import Catalog, Item, Role, User
from ranking.bundle import bundle_exists
from ranking.context import context_of_items
from ranking.errors import RankingFault
from ranking.pipeline import recommend_with, search_with
from ranking.serving import current, load_state
from ranking.types import Query, Slate
from recsite.dashboard.access import needs
from recsite.dashboard.beside import Beside, Outcome
from training.models import ModelVersion
from training.rehearsal import UNFIT, Loaded

SIZE = 10  # items of a list
ITEMS = 3  # that may stand for a person
LONGEST = 200  # characters of a field
CHOICES = 50  # bundles to choose from, the newest


@dataclass(frozen=True)
class Subject:
    """Whose lists they are: a person, some items in the place of a history, or nobody we know."""

    person: User | None
    items: tuple[Item, ...]
    text: str  # of a search; '' = recommendations
    missing: tuple[str, ...] = ()  # what was named and is not there

    @property
    def titles(self) -> str:
        """Those of the items."""
        return _(", ").join(f"“{item.title}”" for item in self.items)

    @property
    def key(self) -> str:
        """Tells subjects apart."""
        ids = [item.pk for item in self.items]
        return f"{self.person.pk if self.person else ''} {ids} {self.text}"


@dataclass(frozen=True)
class Line:
    """One item of a list, and where it stands in the other one."""

    position: int  # 1 = first
    item: Item | None  # None: gone since
    score: float
    sources: tuple[str, ...]
    reason: str
    other: int | None  # its position there; None = it is not there
    other_sources: tuple[str, ...] = ()  # that found it there

    @property
    def found_here(self) -> list[str]:
        """Sources that found it here and not there, of an item that stands in both."""
        if self.other is None:
            return []
        return [name for name in self.sources if name not in self.other_sources]

    @property
    def found_there(self) -> list[str]:
        """Sources that found it there and not here."""
        return [name for name in self.other_sources if name not in self.sources]

    @property
    def moved(self) -> int:
        """Places that it has gone up from there to here; 0 where it is not there."""
        return 0 if self.other is None else self.other - self.position

    @property
    def moved_by(self) -> int:
        """The same without its sign."""
        return abs(self.moved)


@dataclass(frozen=True)
class Lists:
    """Both answers."""

    left: list[Line]
    right: list[Line]

    @property
    def kept(self) -> int:
        """How many items stand in both."""
        return sum(line.other is not None for line in self.left)


_held: dict[int, tuple[str, int, Loaded]] = {}  # one entry: catalog → bundle, items, state
_loading = threading.Lock()
_beside: Beside[Lists] = Beside(told=(RankingFault,))


@needs(Role.VIEWER)
@require_GET
def page(request: HttpRequest, slug: str) -> HttpResponse:
    """The form and both lists; htmx asks for the lists alone until they are there."""
    catalog = get_object_or_404(Catalog, slug=slug)
    subject = _subject(catalog, request.GET)
    bundles = _bundles(catalog)
    left, right = _chosen(catalog, bundles, request.GET)
    outcome: Outcome[Lists] | None = None
    asked = bool(left and right and not subject.missing)
    if asked:
        outcome = compared(catalog, (left, right), subject)
    context = {
        "tab": "models",
        "catalog": catalog,
        "subject": subject,
        "asked": asked,
        "outcome": outcome,
        "bundles": bundles,
        "left": left,
        "right": right,
        "item_fields": (_items_sent(request.GET) + [""] * ITEMS)[:ITEMS],
        "sent": request.GET,
        "again": request.get_full_path(),
    }
    if request.headers.get("HX-Request"):
        return render(request, "dashboard/_playground_lists.html", context)
    return render(request, "dashboard/playground.html", context)


def compared(catalog: Catalog, bundles: tuple[str, str], subject: Subject) -> Outcome[Lists] | None:
    """Both lists; None while a bundle is being loaded for them."""
    language = get_language() or "en"
    work = partial(compare, catalog, bundles, subject, language)
    try:
        if all(_is_ready(catalog, bundle_id) for bundle_id in bundles):
            return Outcome(work())
    except RankingFault as fault:
        return Outcome(None, str(fault))
    key = f"{catalog.pk} {catalog.items_version} {bundles} {subject.key} {language}"
    return _beside.ask(key, work)


def compare(
    catalog: Catalog, bundles: tuple[str, str], subject: Subject, language: str = "en"
) -> Lists:
    """Put the question to both bundles; reasons and faults are in this language.

    Raises
    ------
    RankingFault
        One of them cannot be loaded.
    """
    with override(language):
        slates = [_answer(catalog, _loaded(catalog, bundle_id), subject) for bundle_id in bundles]
    ids = {item_id for slate in slates for item_id in slate.item_ids}
    items = Item.objects.select_related("catalog").in_bulk(ids)
    left, right = slates
    return Lists(_lines(left, right, items), _lines(right, left, items))


def _answer(catalog: Catalog, loaded: Loaded, subject: Subject) -> Slate:
    state, encoder = loaded
    query = Query(
        catalog.slug,
        user_id=subject.person.pk if subject.person else None,
        surface="playground",
        size=SIZE,
        text=subject.text,
        log=False,
    )
    if subject.text:
        return search_with(query, catalog, state, encoder)
    context = None
    if subject.items:
        context = context_of_items([item.pk for item in subject.items], catalog, state.items)
    return recommend_with(query, catalog, state, encoder, context)


def _lines(slate: Slate, other: Slate, items: dict[int, Item]) -> list[Line]:
    places = {item_id: place + 1 for place, item_id in enumerate(other.item_ids)}
    sources = {one.item_id: one.sources for one in other.items}
    return [
        Line(
            place + 1,
            items.get(one.item_id),
            one.score,
            one.sources,
            one.reason,
            places.get(one.item_id),
            sources.get(one.item_id, ()),
        )
        for place, one in enumerate(slate.items)
    ]


def _loaded(catalog: Catalog, bundle_id: str) -> Loaded:
    """What is live, or the one other bundle that is held; loaded in its place where it must be."""
    live = current(catalog)
    if live[0].bundle_id == bundle_id:
        return live
    with _loading:
        if held := _held_of(catalog, bundle_id):
            return held
        _held.clear()  # before the next is loaded: never two at once
        try:
            loaded = load_state(catalog, bundle_id, (live[0].items, live[1]))
        except UNFIT as fault:
            text = _("%(bundle)s cannot be loaded: %(fault)s")
            raise RankingFault(text % {"bundle": bundle_id, "fault": fault}) from fault
        _held[catalog.pk] = (bundle_id, catalog.items_version, loaded)
        return loaded


def _is_ready(catalog: Catalog, bundle_id: str) -> bool:
    live = current(catalog)[0].bundle_id
    return live == bundle_id or _held_of(catalog, bundle_id) is not None


def _held_of(catalog: Catalog, bundle_id: str) -> Loaded | None:
    held = _held.get(catalog.pk)
    if held is None or held[:2] != (bundle_id, catalog.items_version):
        return None
    return held[2]


def _bundles(catalog: Catalog) -> list[ModelVersion]:
    """What can be compared: the newest models whose files are there, what is live before all."""
    newest = catalog.model_versions.order_by("-created_at")[:CHOICES]
    found = [version for version in newest if bundle_exists(version.bundle_id)]
    return sorted(found, key=lambda version: version.bundle_id != catalog.live_bundle)


def _chosen(catalog: Catalog, bundles: Sequence[ModelVersion], sent: QueryDict) -> tuple[str, str]:
    """The two bundles; unless the address names others, what is live and the newest other one."""
    known = [version.bundle_id for version in bundles]
    left = sent.get("left", "")
    if left not in known:
        left = known[0] if known else ""
    right = sent.get("right", "")
    if right not in known:
        challenger = catalog.challenger_bundle
        others = [one for one in [challenger, *known] if one in known and one != left]
        right = others[0] if others else ""
    return left, right


def _items_sent(sent: QueryDict) -> list[str]:
    return [text.strip()[:LONGEST] for text in sent.getlist("item") if text.strip()][:ITEMS]


def _subject(catalog: Catalog, sent: QueryDict) -> Subject:
    """Who or what is asked about, found by name, and what could not be found."""
    missing = []
    named = sent.get("person", "").strip()[:LONGEST]
    person = None
    if named:
        people = User.objects.filter(Q(external_id=named) | Q(username=named))
        person = people.first()
        if person is None:
            missing.append(_("There is nobody called “%(name)s”.") % {"name": named})
    items = []
    for text in _items_sent(sent):
        item = _item(catalog, text)
        if item is None:
            told = _("There is no item “%(text)s” in %(catalog)s.")
            missing.append(told % {"text": text, "catalog": catalog.name})
        else:
            items.append(item)
    text = sent.get("q", "").strip()[:LONGEST]
    return Subject(person, tuple(items), text, tuple(missing))


def _item(catalog: Catalog, text: str) -> Item | None:
    """The item with this external id, or the first whose title holds these words."""
    own = catalog.items.select_related("catalog")
    exact = own.filter(external_id=text).first()
    return exact or own.filter(title__icontains=text).order_by("pk").first()
