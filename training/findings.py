"""What there is to say of a catalog's items, interactions, slates, clocks and bots."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from django.utils import timezone

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
    page: str = ""  # of the dashboard, where the cure is: imports, train, audit


def of_items(figures: Figures, slug: str, *, has_prices: bool) -> Iterable[Finding]:
    """Text, pictures, categories, prices, copies."""
    items = figures.items
    if not items.items:
        yield judged(
            "Items",
            Colour.RED,
            "There are no items.",
            "Import them.",
            f"manage.py import_data {slug} --items FILE",
            "imports",
        )
        return
    again = f"manage.py import_data {slug} --items FILE"
    for name, count, what, why in (
        ("text", items.no_text, "text beside the title", "search and new items live on it"),
        ("picture", items.no_picture, "picture", "a drawn tile stands in"),
        ("category", items.no_category, "category", "aisles, sections and diversity need one"),
        ("price", items.no_price, "price", "the ranker and the shop's filters use it"),
    ):
        if name == "price" and not has_prices:
            continue
        share = count / items.looked_at
        colour = colour_of(name, share)
        yield judged(
            name.capitalize(),
            colour,
            f"{count:,} of {items.looked_at:,} items, {share:.1%}, have no {what}: {why}.",
            f"Import the items again with the column {_of(name)}.",
            again,
            "imports",
        )
    colour = colour_of("copies", items.copies / items.looked_at)
    yield judged(
        "Duplicates",
        colour,
        f"{items.copies:,} of {items.looked_at:,} items repeat title, category and text of another"
        " one.",
        "Import each thing once, or make what differs part of the title.",
    )


def _of(name: str) -> str:
    """The column of an items file that holds it."""
    return {"text": "body", "picture": "image"}.get(name, name)


def of_interactions(figures: Figures, slug: str) -> Iterable[Finding]:
    """How many and how new, short histories, repeats."""
    command = f"manage.py import_data {slug} --interactions FILE"
    if figures.last is None:
        yield judged(
            "Interactions",
            Colour.RED,
            "Nobody has done anything yet, so there is nothing to learn from.",
            "Import what people did, or send it to the API.",
            command,
            "imports",
        )
        return
    age = (timezone.now() - figures.last).days
    yield judged(
        "Interactions",
        Colour.AMBER if age > STALE_DAYS else Colour.GREEN,
        f"{figures.interactions:,} from {figures.first:%d %b %Y} to {figures.last:%d %b %Y}"
        + (f": none for {age:,} days." if age > STALE_DAYS else "."),
        "See that pages or programs still send them.",
    )
    people = sum(figures.histories.values())
    active = people - figures.histories[BUCKETS[0]]
    short = figures.histories[1] / active if active else 0.0
    colour = colour_of("short histories", short)
    yield judged(
        "Histories",
        colour,
        f"Of {active:,} people with a history ({people:,} were looked at), {short:.1%} did fewer"
        " than 5 things.",
        "Bring older interactions, or tell visitors apart across visits; until then,"
        " popularity and text decide for most.",
    )
    rows = figures.rows
    share = rows.repeated / rows.looked_at if rows.looked_at else 0.0
    colour = colour_of("repeats", share)
    yield judged(
        "Repeats",
        colour,
        f"{rows.repeated:,} of the newest {rows.looked_at:,} interactions repeat another one of the"
        f" same person, item and type within {REPEAT_SECONDS:g} seconds; purchases not counted.",
        "Send an event_id, so that what is sent twice counts once.",
    )


def of_slates(figures: Figures) -> Iterable[Finding]:
    """Slates nobody saw, impressions that came to nothing, clicks on slates that nobody knows."""
    slates = sum(day.slates for day in figures.days)
    ignored = sum(day.slates_ignored for day in figures.days)
    unpicked = sum(day.slates_unpicked for day in figures.days)
    unreported = sum(day.slates_unreported for day in figures.days)
    if slates < FEW:
        yield Finding("Slates", Colour.GREEN, f"{slates:,} slates were shown in {DAYS} days.")
    else:
        share = ignored / slates
        colour = colour_of("unseen slates", share)
        yield judged(
            "Slates without impressions",
            colour,
            f"{share:.1%} of {slates:,} slates in {DAYS} days were neither reported to be in view"
            f" nor picked from; {unreported:,} were picked from without being reported.",
            "Report what was in view (docs/api.md, impressions): the ranker learns from it.",
        )
        seen = slates - ignored
        share = unpicked / seen if seen else 0.0
        colour = colour_of("unpicked slates", share) if seen >= FEW else Colour.GREEN
        yield judged(
            "Impressions without interactions",
            colour,
            f"From {share:.1%} of {seen:,} slates in view nothing was picked.",
            "See that interactions name their slate (slate_id); else no click can be traced.",
        )
    named = sum(day.of_slates for day in figures.days)
    unknown = sum(day.of_unknown_slates for day in figures.days)
    colour = colour_of("unknown slates", unknown / named if named else 0.0)
    yield judged(
        "Interactions of unknown slates",
        colour,
        f"{unknown:,} of {named:,} interactions that name a slate name one that is not there.",
        "Send back the slate_id that the answer carried, unchanged.",
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
        "Clock",
        worst,
        f"{figures.in_future:,} interactions lie in the future, {figures.implausibly_old:,} before"
        f" 2000; {rows.before_publication:,} of the newest {rows.looked_at:,} came before their"
        f" item was published; {figures.items.not_yet_published:,} items are published in the"
        " future.",
        "Check the senders' clocks and time zones, and whether a file holds seconds or"
        " milliseconds.",
    )


def of_bots(figures: Figures) -> Iterable[Finding]:
    """Who is hardly a person."""
    done = sum(day.interactions for day in figures.days)
    suspected = sum(day.suspected for day in figures.days)
    share, rows = suspected / done if done else 0.0, figures.rows
    colour = colour_of("bots", share)
    if rows.busy_people and colour == Colour.GREEN:
        colour = Colour.AMBER
    busy = (
        f" {rows.busy_people:,} people did more than {MANY_A_DAY} things in one day, at most"
        f" {rows.most_a_day:,}."
        if rows.busy_people
        else ""
    )
    yield judged(
        "Bots",
        colour,
        f"{suspected:,} interactions in {DAYS} days, {share:.1%}, are suspected, and left out."
        f"{busy}",
        "Look who they are: a crawler, or many people under one id? Keep robots off the pages"
        " that report.",
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
