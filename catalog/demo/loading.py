"""Stages of a demo load: a killed one goes on where it stopped, a second load does nothing."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from catalog import loads
from catalog.creation import usual_settings
from catalog.importers import interactions, items, offers, staging, users
from catalog.importers.rows import INTERACTIONS, ITEMS, OFFERS, USERS, BadRow, StagedRow
from catalog.models import Catalog, LoadState

Say = Callable[[str, int, int | None], None]  # stage, rows done, rows in all
ROWS_A_CHUNK = 40_000  # interactions in one transaction


@dataclass(frozen=True)
class Actions:
    """Interactions to load, a column each, oldest first."""

    users: Sequence[str]  # external ids
    items: Sequence[str]  # external ids
    types: Sequence[str]
    seconds: Sequence[int]  # since 1970
    values: Sequence[float | None]

    def __len__(self) -> int:
        return len(self.seconds)

    def rows(self, start: int, end: int) -> Iterator[StagedRow | BadRow]:
        """A stretch of them as the staging table takes them."""
        for place in range(start, end):
            value = self.values[place]
            yield (
                place + 1,
                self.users[place],
                self.items[place],
                str(self.seconds[place]),
                self.types[place],
                None if value is None else str(value),
                None,
            )


def ensure_catalog(
    slug: str, *, name: str, kind: str, about: str, is_simulated: bool, repeat_consumption: bool
) -> Catalog:
    """The demo's catalog. All times are counted from the moment when it is made."""
    catalog, _ = Catalog.objects.get_or_create(
        slug=slug,
        defaults={
            "name": name,
            "item_kind": kind,
            "repeat_consumption": repeat_consumption,
            "is_simulated": is_simulated,
            **usual_settings(kind),
        },
    )
    Catalog.objects.filter(pk=catalog.pk).exclude(about=about).update(about=about)
    return catalog


def load_items(catalog: Catalog, rows: Sequence[StagedRow], tag: str, say: Say) -> None:
    """Add the items, or bring them up to date, in one transaction; nothing if `tag` is loaded."""
    if is_loaded(catalog, "items", tag):
        say("items", len(rows), len(rows))
        return
    load = loads.begin(catalog, "items", len(rows))
    report = _reporter(load, say)
    staging.stage(ITEMS, iter(rows), _refuse, report)
    with transaction.atomic():
        merged = items.merge(catalog)
        for row in merged.bad:
            _refuse(row)
        catalog.touch_items()
        loads.finish(load, len(rows), tag)
    staging.drop(ITEMS)
    say("items", len(rows), len(rows))


def load_offers(catalog: Catalog, rows: Iterator[StagedRow], tag: str, say: Say) -> None:
    """Add the offers in one transaction; if `tag` is loaded, no row is asked for."""
    if is_loaded(catalog, "offers", tag):
        return
    load = loads.begin(catalog, "offers", None)
    done = staging.stage(OFFERS, rows, _refuse, _reporter(load, say))
    with transaction.atomic():
        for row in offers.merge(catalog).bad:
            _refuse(row)
        catalog.touch_items()
        loads.finish(load, done, tag)
    staging.drop(OFFERS)
    say("offers", done, done)


def load_people(rows: Sequence[StagedRow], *, is_simulated: bool) -> None:
    """Add the people, with what is known of them."""
    staging.stage(USERS, iter(rows), _refuse, lambda done: None)
    with transaction.atomic():
        for row in users.merge(is_simulated=is_simulated).bad:
            _refuse(row)
    staging.drop(USERS)


def load_actions(catalog: Catalog, actions: Actions, tag: str, say: Say) -> None:
    """Add the interactions, chunk by chunk; a load that was killed goes on after its last chunk."""
    total = len(actions)
    if is_loaded(catalog, "interactions", tag):
        say("interactions", total, total)
        return
    load = LoadState.objects.filter(
        catalog=catalog, stage="interactions", message=tag, total=total
    ).first()
    if load is None:
        load = loads.begin(catalog, "interactions", total)
        load.message = tag
        load.save()
    for start, end in _chunks(actions.seconds, load.done):
        staging.stage(INTERACTIONS, actions.rows(start, end), _refuse, lambda done: None)
        interactions.check(catalog)
        interactions.add_months()
        with transaction.atomic():
            for row in interactions.merge(catalog, is_simulated=catalog.is_simulated).bad:
                _refuse(row)
            loads.advance(load, end)
        say("interactions", end, total)
    staging.drop(INTERACTIONS)
    loads.finish(load, total, tag)


def is_loaded(catalog: Catalog, stage: str, tag: str) -> bool:
    """Whether this stage has been loaded to its end, in this scale and version."""
    return LoadState.objects.filter(
        catalog=catalog, stage=stage, message=tag, finished_at__isnull=False
    ).exists()


def whole_weeks_until(last: datetime, now: datetime) -> int:
    """By how many weeks times can be moved on so that `last` is less than a week ago."""
    return (now - last).days // 7


def _chunks(seconds: Sequence[int], done: int) -> Iterator[tuple[int, int]]:
    """Stretches that never part two rows of the same second, so that their numbering holds."""
    start = done
    while start < len(seconds):
        end = min(start + ROWS_A_CHUNK, len(seconds))
        while end < len(seconds) and seconds[end] == seconds[end - 1]:
            end += 1
        yield start, end
        start = end


def _reporter(load: LoadState, say: Say) -> Callable[[int], None]:
    def report(done: int) -> None:
        loads.advance(load, done)
        say(load.stage, done, load.total)

    return report


def _refuse(row: BadRow) -> None:
    """The demo's own rows are all good; a bad one is a mistake in a loader."""
    raise ValueError(f"row {row.line}: {row.field} {row.reason}")
