from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.db.models.functions import Now

from catalog.models import Catalog, EncoderVersion, Item, ItemVector
from training.models import RunState, TrainingRun
from training.refresh import encoder_settings, has_unencoded_items, refresh_if_needed, refresh_now


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch, empty_cache: None) -> None:
    monkeypatch.setattr(current_app, "send_task", lambda *args, **options: None)


@pytest.fixture
def shop(db: None) -> Catalog:
    shop = Catalog.objects.create(slug="shop", name="Larder", item_kind="product")
    Item.objects.create(catalog=shop, external_id="1", title="Oat milk")
    return shop


def end(run: TrainingRun, state: RunState, **environment: str) -> None:
    TrainingRun.objects.filter(pk=run.pk).update(
        state=state, ended_at=Now(), environment=environment
    )


def encode(shop: Catalog) -> EncoderVersion:
    """What the run does, without a language model."""
    encoder, _ = EncoderVersion.objects.get_or_create(digest="e" * 64, name="e", dimensions=3)
    for item in Item.objects.filter(catalog=shop).without_vector(encoder):
        ItemVector.objects.update_or_create(
            item=item,
            encoder=encoder,
            defaults={"text_digest": item.text_digest, "vector": [1, 0, 0]},
        )
    return encoder


def test_new_items_and_changed_words_are_encoded_once(shop: Catalog) -> None:
    run = refresh_if_needed(shop)
    assert run is not None
    assert run.kind == "encode"
    assert refresh_if_needed(shop) is None  # one is on its way
    end(run, RunState.SUCCEEDED, encoder=encode(shop).digest)
    assert refresh_if_needed(shop) is None
    Item.objects.update(title="Oat milk, 1 l")
    shop.touch_items()
    shop.refresh_from_db()
    assert refresh_if_needed(shop) is not None


def test_an_empty_catalog_needs_nothing(db: None) -> None:
    assert refresh_if_needed(Catalog.objects.create(slug="x", item_kind="article")) is None


def test_nothing_is_asked_of_the_items_until_something_changes(
    shop: Catalog, django_assert_max_num_queries: Any
) -> None:
    run = refresh_now(shop)
    end(run, RunState.SUCCEEDED, encoder=encode(shop).digest)
    refresh_if_needed(shop)
    with django_assert_max_num_queries(2):  # the cache is a table
        assert refresh_if_needed(shop) is None


def test_after_a_failure_there_is_a_pause(shop: Catalog) -> None:
    run = refresh_now(shop)
    end(run, RunState.FAILED)
    assert refresh_if_needed(shop) is None
    TrainingRun.objects.update(ended_at=Now() - timedelta(minutes=6))
    assert refresh_if_needed(shop) is not None


def test_somebody_who_asks_gets_the_one_that_is_going_on(shop: Catalog) -> None:
    assert refresh_now(shop) == refresh_now(shop)


def test_another_encoder_in_the_settings_starts_all_over(shop: Catalog, settings: Any) -> None:
    run = refresh_now(shop)
    end(run, RunState.SUCCEEDED, encoder=encode(shop).digest)
    assert run.parameters == {"encoder": encoder_settings(shop)}
    assert not has_unencoded_items(shop)
    settings.ENCODER_POOLING = "cls"
    assert has_unencoded_items(shop)
