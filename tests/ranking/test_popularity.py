"""Decayed counts against values worked by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from catalog.creation import create_catalog
from catalog.events import ensure_months
from catalog.models import Interaction, Item, User
from ranking import serving
from ranking.item_index import ItemIndex
from ranking.popularity import Popularity
from ranking.types import DAY
from tests.ranking.worlds import NOW, log_of


def test_popularity_halves_with_each_half_life() -> None:
    popularity = Popularity.fit(log_of((1, 2, 3.0, 1.0), (2, 2, 0.0, -1.0)), 4, NOW)
    assert popularity.counts[:, 2] == pytest.approx([0.5, 0.5 ** (3 / 14), 0.5 ** (3 / 90)])


def test_only_what_was_known_at_the_moment_counts() -> None:
    log = log_of((1, 0, 9.0, 1.0), (2, 1, 4.0, 1.0))
    then = Popularity.fit(log, 3, NOW - 5 * DAY)
    assert then.counts[2] == pytest.approx([0.5 ** (4 / 90), 0, 0])


def test_an_item_is_known_since_its_first_interaction() -> None:
    log = log_of((1, 0, 9.0, 1.0), (2, 0, 12.0, -1.0), (2, 1, 4.0, 1.0))
    assert Popularity.fit(log, 2, NOW).first == pytest.approx([NOW - 12 * DAY, NOW - 4 * DAY])
    then = Popularity.fit(log, 2, NOW - 5 * DAY)
    assert np.isnan(then.first[1])


def test_a_first_visit_is_a_persons_first_hour() -> None:
    minute = 1 / 24 / 60
    log = log_of((1, 0, 14.0, 2.0), (1, 1, 14.0 - 59 * minute, 1.0), (1, 2, 13.9, 1.0))
    counts = Popularity.fit(log, 3, NOW).first_visit_counts
    assert counts == pytest.approx([1.0, 0.5, 0.0], rel=1e-2)


def test_where_first_visits_are_few_newcomers_get_what_everybody_picks() -> None:
    log = log_of((1, 0, 1.0, 1.0), (1, 1, 0.5, 3.0))
    popularity = Popularity.fit(log, 2, NOW)
    assert popularity.for_newcomers == pytest.approx(popularity.blend, rel=0.01)
    popularity.first_visit_counts[:] = [1e6, 0]
    again = Popularity(
        popularity.counts, popularity.first_visit_counts, popularity.first, popularity.as_of
    )
    assert again.for_newcomers == pytest.approx([1, 0], abs=1e-3)


@pytest.mark.django_db
def test_first_visits_since_the_bundle_are_counted_and_come_from_newcomers_alone(
    own_folders: None,
) -> None:
    catalog = create_catalog("films", kind="product")
    items = [Item.objects.create(catalog=catalog, external_id=name, title=name) for name in "abc"]
    ann, bob = (User.objects.create(username=name) for name in ("ann", "bob"))
    now = datetime.now(UTC)
    bundle = now - timedelta(days=10)
    ensure_months([now, now - timedelta(days=20)])
    for user, item, ago in (
        (ann, 0, timedelta(days=20)),  # before the bundle, so that Ann is no newcomer after it
        (ann, 1, timedelta(days=7)),
        (bob, 2, timedelta(days=7)),
        (bob, 1, timedelta(days=7) - timedelta(minutes=50)),
        (bob, 0, timedelta(days=6)),
    ):
        Interaction.objects.create(
            catalog=catalog, user=user, item=items[item], type="purchase", timestamp=now - ago
        )
    index = ItemIndex.load(catalog, None)
    known = replace(Popularity.nothing(3), as_of=bundle.timestamp())
    counts = serving._count(catalog, known, index).first_visit_counts
    rows = index.rows_of(np.array([item.pk for item in items]))
    assert counts[rows] == pytest.approx([0, 0.5**0.5, 0.5**0.5], rel=1e-2)


@pytest.mark.django_db
def test_a_pick_of_thirty_years_ago_has_faded_and_breaks_nothing(own_folders: None) -> None:
    catalog = create_catalog("films", kind="product")
    items = [Item.objects.create(catalog=catalog, external_id=name, title=name) for name in "ab"]
    user = User.objects.create(username="ann")
    moments = [datetime(1997, 9, 20, tzinfo=UTC), datetime.now(UTC)]
    ensure_months(moments)
    for item, moment in zip(items, moments, strict=True):
        Interaction.objects.create(
            catalog=catalog, user=user, item=item, type="purchase", timestamp=moment
        )
    state, _ = serving.current(catalog)
    old, new = state.popularity.blend[state.items.rows_of(np.array([item.pk for item in items]))]
    assert new == pytest.approx(1.0, abs=1e-3)
    assert old < 1e-20
    known = state.popularity.first[state.items.rows_of(np.array([item.pk for item in items]))]
    assert known == pytest.approx([moment.timestamp() for moment in moments])
