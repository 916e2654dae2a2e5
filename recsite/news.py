"""① The demo newspaper: front page, sections, articles, the endless feed, search."""

import uuid
from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.forms import IntegerField, UUIDField, ValidationError
from django.http import Http404, HttpResponse, HttpResponseBadRequest
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from catalog import events
from catalog.models import Catalog, Follow, InteractionType, Item, SlateLog
from ranking import pipeline
from recsite import account, feedback, stories
from recsite.account import SiteRequest
from recsite.edition import SLUG, Edition, edition_of, not_printed_yet
from recsite.stories import Opinions, Shelf, Story

FOR_YOU = 9  # stories on the front page
FEED_PAGE = 10  # stories
LAST_PAGE = 50
PAGES_BY_THEMSELVES = 3  # the feed goes on without a click until here
FOUND_A_PAGE = 20
LONGEST_SEARCH = 200  # characters


@never_cache
@require_GET
def home(request: SiteRequest) -> HttpResponse:
    """The front page: top stories, for you, the latest, and the sections."""
    edition = edition_of(request)
    if edition is None:
        return not_printed_yet(request)
    top = edition.recommended("news-top", 5, only_sources=("popular", "fresh"))
    shown = [story.item.pk for story in top.stories]
    for_you = edition.recommended("news-home", FOR_YOU, exclude=shown)
    shown += [story.item.pk for story in for_you.stories]
    latest = _latest(edition, 8, shown)
    shown += [story.item.pk for story in latest.stories]
    return edition.render(
        "news/home.html",
        top=top,
        for_you=for_you,
        latest=latest,
        blocks=_blocks(edition, 4, shown),
    )


def _latest(edition: Edition, size: int, shown: list[int]) -> Shelf:
    """The newest articles of all sections."""
    items = stories.newest(edition.catalog, {*shown, *edition.opinions.hidden})[:size]
    return stories.listed(
        edition.catalog, edition.person, "news-latest", list(items), edition.opinions
    )


def _blocks(edition: Edition, size: int, shown: list[int]) -> list[dict[str, Any]]:
    """The newest of each section, followed sections first; all of them are one slate."""
    names = sorted(edition.sections.items(), key=lambda pair: pair[1] not in edition.followed)
    rest = stories.newest(edition.catalog, {*shown, *edition.opinions.hidden})
    items = {slug: list(rest.in_category(name)[:size]) for slug, name in names}
    shelf = stories.listed(
        edition.catalog,
        edition.person,
        "news-section",
        [item for block in items.values() for item in block],
        edition.opinions,
    )
    queue = iter(shelf.stories)
    return [
        {"slug": slug, "name": name, "slate_id": shelf.slate_id, "stories": block}
        for slug, name in names
        if (block := [next(queue) for _ in items[slug]])
    ]


@never_cache
@require_GET
def section(request: SiteRequest, slug: str) -> HttpResponse:
    """One section, in the order that suits the reader, and its newest."""
    edition = edition_of(request)
    if edition is None:
        return not_printed_yet(request)
    if slug not in edition.sections:
        raise Http404("There is no such section.")
    name = edition.sections[slug]
    picks = edition.recommended("news-section", 12, category=name)
    shown = {story.item.pk for story in picks.stories} | edition.opinions.hidden
    items = stories.newest(edition.catalog, shown).in_category(name)[:12]
    latest = stories.listed(
        edition.catalog, edition.person, "news-latest", list(items), edition.opinions
    )
    return edition.render("news/section.html", name=name, slug=slug, picks=picks, latest=latest)


@never_cache
@require_GET
def article(request: SiteRequest, item_id: int) -> HttpResponse:
    """One article, and what goes with it."""
    edition = edition_of(request)
    if edition is None:
        return not_printed_yet(request)
    item = get_object_or_404(
        Item.objects.select_related("catalog").defer("search", "words"),
        pk=item_id,
        catalog=edition.catalog,
    )
    feedback.log_click(request, item)
    edition.person = request.person  # the click may have given a guest a row
    story = _said(Story(item), edition.opinions)
    related = edition.recommended("news-related", 6, anchor_item_id=item.pk)
    return edition.render("news/article.html", story=story, related=related)


def _said(story: Story, opinions: Opinions) -> Story:
    """The story with what the person said of it."""
    return replace(
        story,
        liked=story.item.pk in opinions.liked,
        hidden=story.item.pk in opinions.hidden,
    )


@never_cache
@require_GET
def feed(request: SiteRequest) -> HttpResponse:
    """One page of the endless feed; the pages before it are named in the address."""
    edition = edition_of(request)
    if edition is None:
        return not_printed_yet(request)
    try:
        number = IntegerField(min_value=1, max_value=LAST_PAGE).clean(request.GET.get("page") or 1)
        before = [
            UUIDField().clean(text) for text in request.GET.get("after", "").split(".") if text
        ]
    except ValidationError:
        raise Http404("There is no such page of the feed.") from None
    shelf = _feed_page(edition, number, before[-LAST_PAGE:])
    trail = [*before, shelf.slate_id] if shelf.slate_id else before
    context = {
        "shelf": shelf,
        "number": number,
        "next_number": number + 1 if shelf and number < LAST_PAGE else None,
        "trail": ".".join(str(slate_id) for slate_id in trail),
        "by_itself": number < PAGES_BY_THEMSELVES,
    }
    template = "news/_feed_page.html" if request.htmx else "news/feed.html"
    return edition.render(template, **context)


def _feed_page(edition: Edition, number: int, before: list[uuid.UUID]) -> Shelf:
    """Ten more stories that none of the pages before held."""
    if not before:  # the first page, or an address that somebody typed
        slate = pipeline.recommend(edition.query("news-feed", number * FEED_PAGE))
        return stories.as_shelf(slate, edition.opinions, start=(number - 1) * FEED_PAGE)
    pages = SlateLog.objects.filter(pk__in=before, catalog=edition.catalog, surface="news-feed")
    shown = {item_id for page in pages.values_list("item_ids", flat=True) for item_id in page}
    return edition.recommended("news-feed", FEED_PAGE, exclude=shown)


@never_cache
@require_GET
def search(request: SiteRequest) -> HttpResponse:
    """What a text finds."""
    edition = edition_of(request)
    if edition is None:
        return not_printed_yet(request)
    text = request.GET.get("q", "").replace("\0", "").strip()[:LONGEST_SEARCH]
    try:
        number = IntegerField(min_value=1, max_value=10).clean(request.GET.get("page") or 1)
    except ValidationError:
        raise Http404("There is no such page of results.") from None
    found, total = stories.NOTHING, 0
    if text:
        end = number * FOUND_A_PAGE
        slate = pipeline.search(edition.query("news-search", end, text=text))
        found = stories.as_shelf(slate, edition.opinions, start=end - FOUND_A_PAGE)
        total = slate.total
    more = number + 1 if number < 10 and total > number * FOUND_A_PAGE else None
    return edition.render(
        "news/search.html", text=text, found=found, total=total, number=number, next_number=more
    )


@require_POST
def react(request: SiteRequest) -> HttpResponse:
    """Like, less like this, or the undo of either."""
    item = get_object_or_404(
        Item.objects.select_related("catalog").defer("search", "words"),
        pk=_number(request.POST.get("item")),
        catalog__slug=SLUG,
    )
    action = request.POST.get("action", "")
    said = {"like": "like", "unlike": "like", "hide": "hide", "unhide": "hide"}.get(action)
    if said is None:
        return HttpResponseBadRequest("action is not one of like, unlike, hide, unhide")
    if action.startswith("un"):
        events.withdraw(item.catalog, account.guest_for_write(request).pk, item.pk, said)
    else:
        _say(request, item, said)
    if request.htmx:
        return _reaction_fragment(request, item)
    if action == "hide":
        told = _("You will see less like it. Open the article again to undo it.")
        messages.info(request, told)
    return redirect(account.next_url(request, "news:home"))


def _say(request: SiteRequest, item: Item, said: str) -> None:
    """Log an opinion; the newer one replaces its opposite."""
    person = account.guest_for_write(request)
    opposite = InteractionType.HIDE if said == InteractionType.LIKE else InteractionType.LIKE
    events.withdraw(item.catalog, person.pk, item.pk, opposite)
    row = {
        "item_id": item.pk,
        "type": said,
        "slate_id": _slate_id(request.POST.get("slate")),
        "position": _number(request.POST.get("position"), missing=None),
    }
    feedback.log_events(request, [row])


def _reaction_fragment(request: SiteRequest, item: Item) -> HttpResponse:
    """What takes the place of the buttons, or of the whole card once it is hidden."""
    opinions = stories.opinions_of(item.catalog, request.person)
    slate_id = _slate_id(request.POST.get("slate"))
    position = _number(request.POST.get("position"), missing=None) or 0
    story = _said(Story(item, slate_id, position), opinions)
    view = "bar" if request.POST.get("view") == "bar" else "card"
    template = "news/_reactions.html" if view == "bar" else "news/_story.html"
    context = {
        "story": story,
        "view": view,
        "catalog": item.catalog,
        "answered": True,  # the buttons that take the old ones' place take the focus as well
        "today": timezone.now(),
        "next": account.next_url(request, "news:home"),
    }
    return render(request, template, context)


@require_POST
def follow(request: SiteRequest) -> HttpResponse:
    """Follow a section, or stop."""
    catalog = get_object_or_404(Catalog, slug=SLUG)
    name = stories.sections_of(catalog).get(request.POST.get("section", ""))
    if name is None:
        raise Http404("There is no such section.")
    person = account.guest_for_write(request)
    rows = Follow.objects.filter(user=person, catalog=catalog, category=name)
    if request.POST.get("action") == "unfollow":
        rows.delete()
    else:
        Follow.objects.get_or_create(user=person, catalog=catalog, category=name)
        told = _("You follow %(section)s. It now comes first on the front page.")
        messages.success(request, told % {"section": name})
    return redirect(account.next_url(request, "news:home"))


def _number(text: str | None, missing: int | None = 0) -> int | None:
    """A whole number of a form; `missing` where it is none."""
    try:
        number: int | None = IntegerField(min_value=0, max_value=2**31).clean(text)
    except ValidationError:
        return missing
    return number


def _slate_id(text: str | None) -> uuid.UUID | None:
    """A slate's id of a form; None where it is none."""
    try:
        slate_id: uuid.UUID | None = UUIDField(required=False).clean(text)
    except ValidationError:
        return None
    return slate_id


urlpatterns = [
    path("", home, name="home"),
    path("section/<slug:slug>/", section, name="section"),
    path("article/<int:item_id>/", article, name="article"),
    path("feed/", feed, name="feed"),
    path("search/", search, name="search"),
    path("react/", react, name="react"),
    path("follow/", follow, name="follow"),
]
