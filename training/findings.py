"""What there is to say of a catalog's items, interactions, slates, clocks and bots."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from catalog.figures import BUCKETS, DAYS, MANY_A_DAY, REPEAT_SECONDS, Figures

STALE_DAYS = 7  # without an interaction
FEW = 50  # slates or interactions that a share says nothing of
# a finding → from which share on it is amber, and red; 1.01 = never
SHARES = {
    "text": (0.5, 1.01),
    "picture": (0.5, 1.01),
    "category": (0.2, 1.01),
    "price": (0.2, 1.01),
    "copies": (0.05, 0.5),
    "short histories": (0.7, 0.97),
    "unseen slates": (0.5, 0.95),
    "unpicked slates": (0.995, 1.01),
    "unknown slates": (0.01, 0.2),
    "repeats": (0.02, 0.2),
    "future": (0.0, 0.01),
    "old": (0.0, 1.01),
    "unpublished": (0.05, 0.5),
    "bots": (0.05, 0.3),
}


LACKS = {  # what an item may lack → the name of the finding, and what it says
    "text": (
        gettext_noop("Text"),
        gettext_noop(
            "%(count)s of %(all)s items, %(share)s, have no text beside the title: search and new"
            " items live on it."
        ),
    ),
    "picture": (
        gettext_noop("Picture"),
        gettext_noop(
            "%(count)s of %(all)s items, %(share)s, have no picture: a drawn tile stands in."
        ),
    ),
    "category": (
        gettext_noop("Category"),
        gettext_noop(
            "%(count)s of %(all)s items, %(share)s, have no category: aisles, sections and"
            " diversity need one."
        ),
    ),
    "price": (
        gettext_noop("Price"),
        gettext_noop(
            "%(count)s of %(all)s items, %(share)s, have no price: the ranker and the shop's"
            " filters use it."
        ),
    ),
}


class Colour(StrEnum):
    """How bad it is, the worst last."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    colour: Colour
    text: str  # what is so
    cure: str = ""  # what to do; '' = nothing
    command: str = ""
    page: str = ""  # of the dashboard, where the cure is: imports, schedules, audit


def of_items(figures: Figures, slug: str, *, has_prices: bool) -> Iterable[Finding]:
    """Text, pictures, categories, prices, copies."""
    items = figures.items
    if not items.items:
        yield judged(
            _("Items"),
            Colour.RED,
            _("There are no items."),
            _("Import them."),
            f"manage.py import_data {slug} --items FILE",
            "imports",
        )
        return
    again = f"manage.py import_data {slug} --items FILE"
    for name, count in (
        ("text", items.no_text),
        ("picture", items.no_picture),
        ("category", items.no_category),
        ("price", items.no_price),
    ):
        if name == "price" and not has_prices:
            continue
        share = count / items.looked_at
        title, text = LACKS[name]
        yield judged(
            _(title),
            colour_of(name, share),
            _(text)
            % {"count": f"{count:,}", "all": f"{items.looked_at:,}", "share": f"{share:.1%}"},
            _("Import the items again with the column %(column)s.") % {"column": _of(name)},
            again,
            "imports",
        )
    colour = colour_of("copies", items.copies / items.looked_at)
    yield judged(
        _("Duplicates"),
        colour,
        _("%(count)s of %(all)s items repeat title, category and text of another one.")
        % {"count": f"{items.copies:,}", "all": f"{items.looked_at:,}"},
        _("Import each thing once, or make what differs part of the title."),
    )


def _of(name: str) -> str:
    """The column of an items file that holds it."""
    return {"text": "body", "picture": "image"}.get(name, name)


def of_interactions(figures: Figures, slug: str) -> Iterable[Finding]:
    """How many and how new, short histories, repeats."""
    command = f"manage.py import_data {slug} --interactions FILE"
    if figures.last is None:
        yield judged(
            _("Interactions"),
            Colour.RED,
            _("Nobody has done anything yet, so there is nothing to learn from."),
            _("Import what people did, or send it to the API."),
            command,
            "imports",
        )
        return
    yield _newness(figures, figures.last)
    people = sum(figures.histories.values())
    active = people - figures.histories[BUCKETS[0]]
    short = figures.histories[1] / active if active else 0.0
    colour = colour_of("short histories", short)
    yield judged(
        _("Histories"),
        colour,
        _(
            "Of %(active)s people with a history (%(people)s were looked at), %(share)s did fewer"
            " than 5 things."
        )
        % {"active": f"{active:,}", "people": f"{people:,}", "share": f"{short:.1%}"},
        _(
            "Bring older interactions, or tell visitors apart across visits; until then,"
            " popularity and text decide for most."
        ),
    )
    rows = figures.rows
    share = rows.repeated / rows.looked_at if rows.looked_at else 0.0
    colour = colour_of("repeats", share)
    yield judged(
        _("Repeats"),
        colour,
        _(
            "%(count)s of the newest %(all)s interactions repeat another one of the same person,"
            " item and type within %(seconds)s seconds; purchases not counted."
        )
        % {
            "count": f"{rows.repeated:,}",
            "all": f"{rows.looked_at:,}",
            "seconds": f"{REPEAT_SECONDS:g}",
        },
        _("Send an event_id, so that what is sent twice counts once."),
    )


def _newness(figures: Figures, last: datetime) -> Finding:
    """How many interactions there are, from when to when."""
    age, usual = (timezone.now() - last).days, _("d M Y")
    told = {
        "count": f"{figures.interactions:,}",
        "first": date_format(figures.first or last, usual),
        "last": date_format(last, usual),
        "days": f"{age:,}",
    }
    if age > STALE_DAYS:
        text = _("%(count)s from %(first)s to %(last)s: none for %(days)s days.")
        cure = _("See that pages or programs still send them.")
        return judged(_("Interactions"), Colour.AMBER, text % told, cure)
    text = _("%(count)s from %(first)s to %(last)s.")
    return Finding(_("Interactions"), Colour.GREEN, text % told)


def of_slates(figures: Figures) -> Iterable[Finding]:
    """Slates nobody saw, impressions that came to nothing, clicks on slates that nobody knows."""
    slates = sum(day.slates for day in figures.days)
    ignored = sum(day.slates_ignored for day in figures.days)
    unpicked = sum(day.slates_unpicked for day in figures.days)
    unreported = sum(day.slates_unreported for day in figures.days)
    if slates < FEW:
        text = _("%(count)s slates were shown in %(days)d days.")
        yield Finding(_("Slates"), Colour.GREEN, text % {"count": f"{slates:,}", "days": DAYS})
    else:
        share = ignored / slates
        colour = colour_of("unseen slates", share)
        yield judged(
            _("Slates without impressions"),
            colour,
            _(
                "%(share)s of %(all)s slates in %(days)d days were neither reported to be in view"
                " nor picked from; %(unreported)s were picked from without being reported."
            )
            % {
                "share": f"{share:.1%}",
                "all": f"{slates:,}",
                "days": DAYS,
                "unreported": f"{unreported:,}",
            },
            _("Report what was in view (docs/api.md, impressions): the ranker learns from it."),
        )
        seen = slates - ignored
        share = unpicked / seen if seen else 0.0
        colour = colour_of("unpicked slates", share) if seen >= FEW else Colour.GREEN
        yield judged(
            _("Impressions without interactions"),
            colour,
            _("From %(share)s of %(all)s slates in view nothing was picked.")
            % {"share": f"{share:.1%}", "all": f"{seen:,}"},
            _("See that interactions name their slate (slate_id); else no click can be traced."),
        )
    named = sum(day.of_slates for day in figures.days)
    unknown = sum(day.of_unknown_slates for day in figures.days)
    colour = colour_of("unknown slates", unknown / named if named else 0.0)
    yield judged(
        _("Interactions of unknown slates"),
        colour,
        _("%(count)s of %(all)s interactions that name a slate name one that is not there.")
        % {"count": f"{unknown:,}", "all": f"{named:,}"},
        _("Send back the slate_id that the answer carried, unchanged."),
    )


def of_clock(figures: Figures) -> Iterable[Finding]:
    """Times that cannot be."""
    total, rows = max(figures.interactions, 1), figures.rows
    worst = max(
        colour_of("future", figures.in_future / total),
        colour_of("old", figures.implausibly_old / total),
        colour_of("unpublished", rows.before_publication / max(rows.looked_at, 1)),
        key=list(Colour).index,
    )
    yield judged(
        _("Clock"),
        worst,
        _(
            "%(future)s interactions lie in the future, %(old)s before 2000; %(early)s of the"
            " newest %(all)s came before their item was published; %(unpublished)s items are"
            " published in the future."
        )
        % {
            "future": f"{figures.in_future:,}",
            "old": f"{figures.implausibly_old:,}",
            "early": f"{rows.before_publication:,}",
            "all": f"{rows.looked_at:,}",
            "unpublished": f"{figures.items.not_yet_published:,}",
        },
        _(
            "Check the senders' clocks and time zones, and whether a file holds seconds or"
            " milliseconds."
        ),
    )


def of_bots(figures: Figures) -> Iterable[Finding]:
    """Who is hardly a person."""
    done = sum(day.interactions for day in figures.days)
    suspected = sum(day.suspected for day in figures.days)
    share, rows = suspected / done if done else 0.0, figures.rows
    colour = colour_of("bots", share)
    if rows.busy_people and colour == Colour.GREEN:
        colour = Colour.AMBER
    told = {
        "count": f"{suspected:,}",
        "days": DAYS,
        "share": f"{share:.1%}",
        "people": f"{rows.busy_people:,}",
        "many": MANY_A_DAY,
        "most": f"{rows.most_a_day:,}",
    }
    if rows.busy_people:
        text = _(
            "%(count)s interactions in %(days)d days, %(share)s, are suspected, and left out."
            " %(people)s people did more than %(many)s things in one day, at most %(most)s."
        )
    else:
        text = _("%(count)s interactions in %(days)d days, %(share)s, are suspected, and left out.")
    yield judged(
        _("Bots"),
        colour,
        text % told,
        _(
            "Look who they are: a crawler, or many people under one id? Keep robots off the pages"
            " that report."
        ),
    )


def judged(
    name: str, colour: Colour, text: str, cure: str = "", command: str = "", page: str = ""
) -> Finding:
    """A finding; what is green needs no cure."""
    if colour == Colour.GREEN:
        return Finding(name, colour, text)
    return Finding(name, colour, text, cure, command, page)


def colour_of(name: str, share: float) -> Colour:
    """The colour of a share of rows that are not as they should be."""
    amber, red = SHARES[name]
    if share > red:
        return Colour.RED
    return Colour.AMBER if share > amber else Colour.GREEN
