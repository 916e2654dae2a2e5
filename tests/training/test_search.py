"""Searching a small catalog, before and after a training."""

import uuid

import numpy as np
import pytest
from django.utils import timezone

from catalog.events import Event, log_interactions
from catalog.models import Catalog, Item, User
from ranking import serving
from ranking.encoder import load_encoder
from ranking.pipeline import search
from ranking.state import ALIKE_TEXT, NO_DUPLICATE, SAME_TEXT
from ranking.types import Query
from tests.training.trained import trained

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("own_folders"),
]


def test_search_finds_by_word_and_forgives_spelling(catalog: Catalog) -> None:
    trained(catalog)
    serving.forget_all()

    def first(text: str) -> str:
        slate = search(Query(catalog.slug, text=text, size=3))
        return Item.objects.in_slate_order(slate.item_ids)[0].external_id

    assert first("hammer") == "hammer"
    assert first("hamer") == "hammer"
    assert first("hammre") == "hammer"
    assert Item.objects.get(external_id=first("boring holes in a wall")).category == "Tools"
    hostile = search(Query(catalog.slug, text="hammer' OR 1=1 --", size=3))
    assert Item.objects.in_slate_order(hostile.item_ids)[0].external_id == "hammer"


@pytest.mark.parametrize(
    ("likeness", "found"),
    [
        (ALIKE_TEXT, ["Oolong tea", "Oolong tea."]),
        (NO_DUPLICATE, ["Oolong tea", "Oolong tea", "Oolong tea."]),
    ],
)
def test_a_search_drops_the_same_text_but_not_what_is_alike(
    catalog: Catalog, likeness: float, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    titles = {"same": "Oolong tea", "same again": "Oolong  tea", "alike": "Oolong tea."}
    for name, title in titles.items():
        Item.objects.create(catalog=catalog, external_id=name, title=title)
    monkeypatch.setattr("training.fit_ranker.fit_near_duplicate", lambda *_: likeness)
    trained(catalog)
    serving.forget_all()
    state, _ = serving.current(catalog)
    rows = state.items.rows_of(
        np.array([Item.objects.get(external_id=name).pk for name in ("same", "alike")])
    )
    same, alike = state.items.vectors(rows)
    assert ALIKE_TEXT < same @ alike < SAME_TEXT
    slate = search(Query(catalog.slug, text="oolong tea", size=3))
    titled = [" ".join(item.title.split()) for item in Item.objects.in_slate_order(slate.item_ids)]
    assert sorted(title for title in titled if title.startswith("Oolong")) == found


def test_who_comes_first_after_the_items_waits_for_them() -> None:
    empty = Catalog.objects.create(slug="empty", name="Empty", item_kind="product")
    assert len(serving.current(empty)[0].items) == 0
    Item.objects.create(catalog=empty, external_id="pear", title="Pear")
    empty.touch_items()
    empty.refresh_from_db()
    assert len(serving.current(empty)[0].items) == 1


def test_of_equal_matches_a_guest_sees_first_what_most_people_pick(catalog: Catalog) -> None:
    for kind in ("black", "green", "white"):
        Item.objects.create(catalog=catalog, external_id=kind, title=f"{kind.title()} tea")
    liked = Item.objects.get(external_id="white")
    people = User.objects.filter(external_id__startswith="person-").values_list("pk", flat=True)
    events = [
        Event(person, liked.pk, "purchase", timezone.now(), 1.0, uuid.uuid4()) for person in people
    ]
    log_interactions(catalog, events)
    serving.forget_all()
    slate = search(Query(catalog.slug, text="tea", size=3))
    assert Item.objects.in_slate_order(slate.item_ids)[0] == liked


def test_the_encoder_tells_meaning_apart_and_has_unit_length() -> None:
    vectors = load_encoder().encode_items(["a red apple", "a green pear", "a steel hammer"])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1], abs=1e-3)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
    assert load_encoder().encode_items([]).shape == (0, 384)
