"""Decayed counts against values worked by hand."""

from datetime import UTC, datetime

import numpy as np
import pytest

from catalog.creation import create_catalog
from catalog.events import ensure_months
from catalog.models import Interaction, Item, User
from ranking import serving
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
