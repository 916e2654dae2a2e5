"""The REST API: recommendations and search."""

import uuid
from typing import Any

import pytest

from catalog.item_filter import parse
from catalog.models import Item, SlateLog, User
from tests.recsite.api.program import Program, assert_problem
from tests.recsite.ranking_stub import RankingStub

pytestmark = pytest.mark.django_db


def test_recommendations(program: Program, items: list[Item], ranking: RankingStub) -> None:
    user = User.objects.create(username="~u", external_id="u")
    answer = program.get(
        "recommendations",
        user_id="u", item_id="item-4", n=3, exclude=["item-0", "nope"], category="Tea",
        surface="basket", device="phone",
    ).json()  # fmt: skip
    query = ranking.queries[0]
    assert query.user_id == user.pk
    assert query.anchor_item_id == items[4].pk
    assert query.exclude == (items[0].pk,)
    assert (query.size, query.category) == (3, "Tea")
    assert (query.surface, query.device) == ("basket", "phone")
    assert [row["item_id"] for row in answer["items"]] == ["item-1", "item-2", "item-3"]
    assert [row["position"] for row in answer["items"]] == [0, 1, 2]
    assert answer["items"][0]["sources"] == ["alphabet"]
    assert answer["bundle_id"] is None
    assert SlateLog.objects.get().pk == uuid.UUID(answer["slate_id"])
    assert "item" not in answer["items"][0]


def test_a_slate_with_its_items(program: Program, items: list[Item], ranking: RankingStub) -> None:
    answer = program.get("recommendations", expand="item").json()
    assert answer["items"][0]["item"]["title"] == "Tea 0"
    assert ranking.queries[0].user_id is None


def test_unknown_people_and_items_404(
    program: Program, items: list[Item], ranking: RankingStub
) -> None:
    assert_problem(program.get("recommendations", user_id="nobody"), 404)
    assert_problem(program.get("recommendations", item_id="nothing"), 404)
    assert_problem(program.get("search", q="tea", user_id="nobody"), 404)
    assert not ranking.queries


def test_search_pages(program: Program, items: list[Item], ranking: RankingStub) -> None:
    first = program.get("search", q="tea", n=3).json()
    assert [row["item_id"] for row in first["items"]] == ["item-0", "item-1", "item-2"]
    assert (first["total"], first["next_offset"]) == (5, 3)
    second = program.get("search", q="tea", n=3, offset=3).json()
    assert [row["item_id"] for row in second["items"]] == ["item-3", "item-4"]
    assert [row["position"] for row in second["items"]] == [3, 4]
    assert second["next_offset"] is None
    assert program.get("search", q="coffee").json()["items"] == []


def test_a_filter(program: Program, items: list[Item], ranking: RankingStub) -> None:
    program.get("recommendations", filter='category = "Tea" and price < 5')
    program.get("search", q="tea", filter="on_offer")
    assert [query.filter for query in ranking.queries] == [
        parse('category = "Tea" and price < 5'),
        parse("on_offer"),
    ]
    problem = assert_problem(program.get("search", q="tea", filter="price <"), 422, "filter")
    assert problem["detail"] == (
        "filter: Character 8: expected a number such as 4.99, found the end."
    )
    assert_problem(program.get("recommendations", filter="prize < 5"), 422, "filter")


def test_a_slate_costs_few_queries(
    program: Program, items: list[Item], ranking: RankingStub, django_assert_max_num_queries: Any
) -> None:
    User.objects.create(username="~u", external_id="u")
    program.get("recommendations", user_id="u")
    with django_assert_max_num_queries(7):  # four are the stub's own
        program.get("recommendations", user_id="u")
