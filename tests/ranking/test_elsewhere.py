"""A person who is new in one catalog and known in another that it may learn from."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pgvector import HalfVector

from catalog.creation import create_catalog, learn_from
from catalog.errors import CatalogError
from catalog.events import Event, log_interactions
from catalog.models import Catalog, EncoderVersion, Item, ItemVector, User
from ranking import serving
from ranking.context import Lenders, read_context
from ranking.item_index import ItemIndex
from ranking.sources.similar import similar
from ranking.types import Query
from tests.ranking.worlds import context_of, item_index, log_of, state

NOBODY = np.zeros(0, dtype=np.int64)
LOG = log_of((1, 3, 3.0, 1.0), (1, 7, 2.0, 1.0))


def test_similar_reads_other_catalogs_only_where_nothing_is_known_here() -> None:
    items = item_index()
    of_kind_two = items.text_vectors[[2, 5]]
    newcomer = replace(context_of(), elsewhere=of_kind_two)
    found = similar(state(LOG), newcomer, NOBODY)
    assert found is not None
    assert found[[2, 5, 8, 11]].min() > np.delete(found, [2, 5, 8, 11]).max()
    here = context_of((0, 1, 1))
    anchors = np.array([0])
    both = similar(state(LOG), replace(here, elsewhere=of_kind_two), anchors)
    assert np.array_equal(both, similar(state(LOG), here, anchors))  # type: ignore[arg-type]
    assert similar(state(LOG), context_of(), NOBODY) is None


@pytest.fixture
def world(db: None) -> dict[str, Any]:
    """A person who bought and hid something in the shop, and comes to the kiosk."""
    encoder, other = (
        EncoderVersion.objects.create(name=name, digest=name * 64, dimensions=384) for name in "ab"
    )
    shop, kiosk = (create_catalog(slug, kind="product") for slug in ("shop", "kiosk"))
    bought, hidden, unread = (
        Item.objects.create(catalog=shop, external_id=name, title=name)
        for name in ("bought", "hidden", "unread")
    )
    for item, version in ((bought, encoder), (hidden, encoder), (unread, other)):
        ItemVector.objects.create(
            item=item,
            encoder=version,
            text_digest=item.text_digest,
            vector=HalfVector([1.0] + [0.0] * 383),
            encoded_at=timezone.now(),
        )
    user = User.objects.create(username="ann")
    now = timezone.now()
    log_interactions(
        shop,
        [
            Event(user.pk, item.pk, kind, now - timedelta(hours=1), 1.0, uuid.uuid4())
            for item, kind in ((bought, "purchase"), (hidden, "hide"), (unread, "purchase"))
        ],
    )
    return {"shop": shop, "kiosk": kiosk, "user": user, "encoder": encoder}


def test_only_picks_that_the_same_encoder_read_come_along(
    world: dict[str, Any], django_assert_num_queries: Callable[..., Any]
) -> None:
    kiosk, user = world["kiosk"], world["user"]
    query, items = Query("kiosk", user_id=user.pk), ItemIndex.load(kiosk, None)
    with django_assert_num_queries(1):
        assert read_context(query, kiosk, items).elsewhere is None
    lenders = Lenders((world["shop"].pk,), world["encoder"].pk)
    with django_assert_num_queries(2):
        context = read_context(query, kiosk, items, lenders)
    assert context.elsewhere is not None
    assert context.elsewhere.shape == (1, 384)
    assert context.elsewhere[0, 0] == 1.0
    assert len(context.rows) == 0
    stranger = Query("kiosk", user_id=User.objects.create(username="bob").pk)
    assert read_context(stranger, kiosk, items, lenders).elsewhere is None
    with django_assert_num_queries(0):
        assert read_context(Query("kiosk"), kiosk, items, lenders).elsewhere is None


def test_who_is_known_here_is_not_looked_up_elsewhere(
    world: dict[str, Any], django_assert_num_queries: Callable[..., Any]
) -> None:
    kiosk, user = world["kiosk"], world["user"]
    item = Item.objects.create(catalog=kiosk, external_id="x", title="x")
    moment = timezone.now() - timedelta(minutes=5)
    log_interactions(kiosk, [Event(user.pk, item.pk, "click", moment, 1.0, uuid.uuid4())])
    items = ItemIndex.load(kiosk, None)
    lenders = Lenders((world["shop"].pk,), world["encoder"].pk)
    with django_assert_num_queries(1):
        context = read_context(Query("kiosk", user_id=user.pk), kiosk, items, lenders)
    assert (len(context.rows), context.elsewhere) == (1, None)


def test_a_catalog_learns_from_those_it_was_told_to(
    world: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kiosk = world["kiosk"]
    monkeypatch.setattr(serving, "encoder_of", lambda bundle, catalog: world["encoder"])
    serving.forget_all()
    assert serving.current(kiosk)[0].lenders is None
    call_command("learn_from", "kiosk", "shop")
    assert "kiosk learns from shop" in capsys.readouterr().out
    serving.forget_all()
    assert serving.current(kiosk)[0].lenders == Lenders((world["shop"].pk,), world["encoder"].pk)
    assert list(world["shop"].learns_from.all()) == []  # not the other way round
    call_command("learn_from", "kiosk")
    assert "no other catalog" in capsys.readouterr().out
    assert not Catalog.objects.get(pk=kiosk.pk).learns_from.exists()
    serving.forget_all()


def test_a_catalog_that_cannot_lend_is_named(world: dict[str, Any]) -> None:
    with pytest.raises(CatalogError, match="no catalog 'moon'"):
        learn_from(world["kiosk"], ["moon", "shop"])
    with pytest.raises(CatalogError, match="from itself"):
        learn_from(world["kiosk"], ["kiosk"])
    with pytest.raises(CommandError, match="no catalog 'moon'"):
        call_command("learn_from", "moon")
    assert not world["kiosk"].learns_from.exists()
