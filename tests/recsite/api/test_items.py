"""The REST API: items."""

from collections.abc import Callable
from typing import Any

import pytest
from kombu.exceptions import OperationalError as BrokerAway

from catalog.models import Catalog, Item
from tests.recsite.api.program import Program, assert_problem
from training import tasks

pytestmark = pytest.mark.django_db


def test_items_are_written_read_changed_and_deleted(
    program: Program,
    shop: Catalog,
    woken: list[int],
    django_capture_on_commit_callbacks: Callable[..., Any],
) -> None:
    row = {
        "item_id": "tea/1 ü",
        "title": "Green tea <b>",
        "body": "Leaves.",
        "category": "Tea > Green",
        "attributes": {"organic": True, "grams": 100},
        "price": "3.50",
        "published_at": "2026-01-02T03:04:05Z",
    }
    with django_capture_on_commit_callbacks(execute=True):
        assert program.post("items", {"items": [row]}).json() == {
            "created": 1, "updated": 0, "unchanged": 0,
        }  # fmt: skip
    assert woken == [shop.pk]
    shop.refresh_from_db()
    assert shop.items_version == 1
    stored = program.get("items/tea%2F1%20%C3%BC").json()
    assert stored.items() >= row.items()
    assert stored["available"] is True

    changed = program.send("PATCH", "items/tea%2F1%20%C3%BC", {"price": None}).json()
    assert changed["price"] is None
    assert changed["title"] == row["title"]
    shop.refresh_from_db()
    assert shop.items_version == 2

    assert program.send("DELETE", "items/tea%2F1%20%C3%BC", "").status_code == 204
    assert_problem(program.get("items/tea%2F1%20%C3%BC"), 404)
    shop.refresh_from_db()
    assert shop.items_version == 3


def test_writing_the_same_again_changes_nothing(
    program: Program,
    shop: Catalog,
    woken: list[int],
    django_capture_on_commit_callbacks: Callable[..., Any],
) -> None:
    rows = [
        {"item_id": str(n), "title": f"Tea {n}", "price": n, "published_at": "2026-01-02"}
        for n in range(3)
    ]
    for row in rows:
        row["published_at"] = "2026-01-02T00:00:00"
    program.post("items", {"items": rows})
    rows[1]["title"] = "Other tea"
    with django_capture_on_commit_callbacks(execute=True):
        result = program.post("items", {"items": rows}).json()
    assert result == {"created": 0, "updated": 1, "unchanged": 2}
    assert Item.objects.get(external_id="1").title == "Other tea"
    with django_capture_on_commit_callbacks(execute=True):
        result = program.post("items", {"items": rows}).json()
    assert result == {"created": 0, "updated": 0, "unchanged": 3}
    assert woken == [shop.pk]


def test_items_are_written_without_a_broker(
    program: Program,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Callable[..., Any],
) -> None:
    def away(catalog_id: int) -> None:
        raise BrokerAway("connection refused")

    monkeypatch.setattr(tasks.refresh_vectors, "delay", away)
    with django_capture_on_commit_callbacks(execute=True):
        answer = program.post("items", {"items": [{"item_id": "a", "title": "A"}]})
    assert answer.status_code == 200


def test_unknown_items_404(program: Program) -> None:
    assert_problem(program.get("items/nope"), 404)
    assert_problem(program.send("PATCH", "items/nope", {"title": "A"}), 404)
    assert_problem(program.send("DELETE", "items/nope", ""), 404)
    assert_problem(program.send("PATCH", "items/nope", {"title": ""}), 422, "/title")


def test_an_item_of_another_catalog_is_unknown(program: Program) -> None:
    other = Catalog.objects.create(slug="news", name="News", item_kind="article")
    Item.objects.create(catalog=other, external_id="a", title="Theirs")
    assert_problem(program.get("items/a"), 404)
    assert program.post("items", {"items": [{"item_id": "a", "title": "Ours"}]}).json()["created"]
    assert Item.objects.get(catalog=other).title == "Theirs"


def test_the_list_goes_on_from_the_cursor(program: Program, items: list[Item]) -> None:
    seen: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(3):
        page = program.get("items", n=2, **cursor).json()
        seen += [row["item_id"] for row in page["items"]]
        cursor = {"cursor": page["next_cursor"]}
    assert seen == [item.external_id for item in items]
    assert page["has_more"] is False
    assert page["next_cursor"] is None
    assert program.get("items", category="Tea").json()["items"]
    assert program.get("items", category="Te").json()["items"] == []


def test_a_batch_needs_few_queries(program: Program, django_assert_max_num_queries: Any) -> None:
    rows = [{"item_id": str(number), "title": f"Tea {number}"} for number in range(1000)]
    with django_assert_max_num_queries(12):
        assert program.post("items", {"items": rows}).json()["created"] == 1000
