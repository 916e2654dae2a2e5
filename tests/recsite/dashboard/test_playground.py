"""The dashboard: two bundles' lists next to each other."""

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from catalog.models import Catalog, Item, SlateLog, User
from ranking.explain import reason
from ranking.types import Query, Slate, SlateItem
from recsite.dashboard import playground
from recsite.dashboard.beside import Beside
from tests.recsite.dashboard.pages import registered
from training import registry
from training.models import ModelVersion

ORDERS = {"left": ["milk", "bread", "pear"], "right": ["bread", "milk", "plum"]}


@dataclass(frozen=True)
class State:
    """A state that only has a name and items to look rows up in."""

    bundle_id: str
    items: Any = None


@pytest.fixture
def two(shop: Catalog, tmp_path: Path) -> tuple[ModelVersion, ModelVersion]:
    left, right = registered(shop, tmp_path, 0.1), registered(shop, tmp_path, 0.11)
    registry.promote(left, None, "first")
    for name in ("milk", "bread", "pear", "plum"):
        Item.objects.create(catalog=shop, external_id=name, title=name.title())
    return left, right


SIMILAR = ("similar",)


@pytest.fixture
def asked(
    two: tuple[ModelVersion, ModelVersion], monkeypatch: pytest.MonkeyPatch
) -> list[tuple[Query, Any]]:
    """Both bundles answer in the orders above; what they were asked is kept."""
    questions: list[tuple[Query, Any]] = []
    left, right = two
    orders = {left.bundle_id: ORDERS["left"], right.bundle_id: ORDERS["right"]}

    def answer(
        query: Query, catalog: Catalog, state: State, encoder: object, context: object = None
    ) -> Slate:
        questions.append((query, context))
        ids = {item.external_id: item.pk for item in catalog.items.all()}
        sources = (*SIMILAR, "ease") if state.bundle_id == right.bundle_id else SIMILAR
        items = tuple(
            SlateItem(ids[name], place, 1 / (place + 1), 1.0, sources, reason(SIMILAR, name, 0))
            for place, name in enumerate(orders[state.bundle_id])
        )
        return Slate(uuid.uuid4(), items, state.bundle_id, ())

    monkeypatch.setattr(playground, "recommend_with", answer)
    monkeypatch.setattr(playground, "search_with", answer)
    monkeypatch.setattr(playground, "current", lambda catalog: (State(left.bundle_id), None))
    monkeypatch.setattr(playground, "load_state", lambda catalog, name, items: (State(name), None))
    monkeypatch.setattr(playground, "context_of_items", lambda ids, *others: ids)
    monkeypatch.setattr(Beside, "begin", lambda beside, work: work())
    playground._held.clear()
    return questions


ADDRESS = "/dashboard/models/shop/playground/"


class TestLists:
    def test_what_moved_and_why(
        self, staff: Client, asked: list[tuple[Query, Any]], two: tuple[ModelVersion, ModelVersion]
    ) -> None:
        answer = staff.get(ADDRESS)
        lists = answer.context["outcome"].value
        assert [line.item.external_id for line in lists.right] == ORDERS["right"]
        assert [(line.other, line.moved) for line in lists.right] == [(2, 1), (1, -1), (None, 0)]
        assert [line.other for line in lists.left] == [2, 1, None]
        assert [line.found_here for line in lists.right] == [["ease"], ["ease"], []]
        assert [line.found_there for line in lists.left] == [["ease"], ["ease"], []]
        page = answer.content.decode()
        assert page.count('Only here found by: <span lang="en">ease</span>') == 2
        assert page.count('Only there found by: <span lang="en">ease</span>') == 2
        assert "2 of 3 stand in both lists." in page
        for said in ("▲</span>1", "▼</span>1", "new", "gone", "Because of “plum”", "0.3333"):
            assert said in page
        assert not SlateLog.objects.exists()
        assert all(not query.log for query, _ in asked)

    def test_a_person_is_found_by_either_name(
        self, staff: Client, asked: list[tuple[Query, Any]]
    ) -> None:
        person = User.objects.create(username="~77", external_id="77")
        for name in ("77", "~77"):
            staff.get(ADDRESS, {"person": name})
            assert {query.user_id for query, _ in asked} == {person.pk}
        answer = staff.get(ADDRESS, {"person": "78"})
        assert "There is nobody called “78”." in answer.content.decode()
        assert answer.context["outcome"] is None

    def test_items_stand_for_a_history_and_words_for_a_search(
        self, staff: Client, asked: list[tuple[Query, Any]], shop: Catalog
    ) -> None:
        staff.get(ADDRESS, {"item": ["plum", "", "ilk"]})
        ids = [Item.objects.get(external_id=name).pk for name in ("plum", "milk")]
        assert [context for _, context in asked] == [ids, ids]
        asked.clear()
        page = staff.get(ADDRESS, {"q": "tea <b>", "item": "nix"}).content.decode()
        assert "There is no item “nix” in Larder." in page
        staff.get(ADDRESS, {"q": "tea <b>"})
        assert [query.text for query, _ in asked] == ["tea <b>"] * 2

    def test_only_one_other_bundle_is_held(
        self,
        staff: Client,
        asked: list[tuple[Query, Any]],
        two: tuple[ModelVersion, ModelVersion],
        shop: Catalog,
    ) -> None:
        staff.get(ADDRESS)
        assert playground._held[shop.pk][0] == two[1].bundle_id
        assert len(playground._held) == 1


def test_while_a_bundle_is_loaded_the_page_says_so(
    staff: Client,
    asked: list[tuple[Query, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Beside, "begin", lambda beside, work: None)
    page = staff.get(ADDRESS, {"person": ""}).content.decode()
    assert "Loading a model" in page
    assert 'hx-trigger="load delay:700ms"' in page
    part = staff.get(ADDRESS, headers={"HX-Request": "true"}).content.decode()
    assert part.lstrip().startswith("<div id=")
    playground._beside.__init__(playground._beside.told)  # type: ignore[misc]


def test_a_bundle_that_cannot_be_loaded_is_told(
    staff: Client, two: tuple[ModelVersion, ModelVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Beside, "begin", lambda beside, work: work())
    playground._held.clear()
    page = staff.get(ADDRESS).content.decode()
    assert "holds no file tables.safetensors; train a new one." in page


def test_with_one_model_it_names_the_next_step(
    staff: Client, shop: Catalog, tmp_path: Path
) -> None:
    registered(shop, tmp_path, 0.1)
    page = staff.get(reverse("dashboard:playground", args=["shop"])).content.decode()
    assert "There is only one model" in page
    assert "manage.py train shop" in page
