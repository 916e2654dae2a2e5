"""The REST API: interactions."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from catalog.events import Event, log_interactions
from catalog.models import Interaction, Item, User
from tests.recsite.api.program import Program, assert_problem

pytestmark = pytest.mark.django_db


def test_rows_are_refused_one_by_one(program: Program, items: list[Item]) -> None:
    later = (timezone.now() + timedelta(hours=1)).isoformat()
    good = {"user_id": "u1", "item_id": "item-0", "type": "purchase", "value": 2}
    answer = program.post(
        "interactions",
        {
            "interactions": [
                good,
                {**good, "type": "sneeze"},
                {**good, "item_id": "nope"},
                {**good, "timestamp": later},
                {**good, "timestamp": "1980-01-01T00:00:00Z"},
                {**good, "user_id": "u2", "item_id": "item-1"},
            ]
        },
    ).json()
    assert answer["accepted"] == 2
    assert answer["duplicates"] == 0
    refused = [(row["index"], row["field"]) for row in answer["refused"]]
    assert refused == [(1, "type"), (2, "item_id"), (3, "timestamp"), (4, "timestamp")]
    assert all(row["reason"] for row in answer["refused"])
    assert Interaction.objects.count() == 2
    assert set(User.objects.values_list("external_id", flat=True)) == {"u1", "u2"}


def test_a_refused_row_makes_no_person(program: Program, items: list[Item]) -> None:
    row = {"user_id": "u1", "item_id": "nope", "type": "view"}
    answer = program.post("interactions", {"interactions": [row]}).json()
    assert [row["field"] for row in answer["refused"]] == ["item_id"]
    assert not User.objects.exists()


def test_sending_again_is_harmless(program: Program, items: list[Item]) -> None:
    row = {"user_id": "u", "item_id": "item-0", "type": "view", "event_id": str(uuid.uuid4())}
    first = program.post("interactions", {"interactions": [row]}).json()
    again = program.post("interactions", {"interactions": [row, row]}).json()
    assert (first["accepted"], first["duplicates"]) == (1, 0)
    assert (again["accepted"], again["duplicates"]) == (0, 2)
    assert Interaction.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"user_id": ""}, "user_id"),
        ({"user_id": "x" * 201}, "user_id"),
        ({"type": None}, "type"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"value": "much"}, "value"),
        ({"value": "nan"}, "value"),
        ({"event_id": "1"}, "event_id"),
        ({"position": -1}, "position"),
        ({"position": 99999}, "position"),
        ({"kind": "view"}, "kind"),
    ],
)
def test_a_malformed_row_refuses_the_batch(
    program: Program, items: list[Item], change: dict[str, Any], place: str
) -> None:
    good = {"user_id": "u", "item_id": "item-0", "type": "view"}
    body = {"interactions": [good, {**good, **change}]}
    assert_problem(program.post("interactions", body), 422, f"/interactions/1/{place}")
    assert not Interaction.objects.exists()


def test_a_program_cannot_write_to_a_members_row(program: Program, items: list[Item]) -> None:
    User.objects.create_superuser("admin", password="correct horse battery")
    row = {"user_id": "admin", "item_id": "item-0", "type": "view"}
    program.post("interactions", {"interactions": [row]})
    assert Interaction.objects.get().user.username == "~admin"


def test_a_persons_interactions_page_by_page(program: Program, items: list[Item]) -> None:
    user = User.objects.create(username="~u", external_id="u")
    moment = timezone.now() - timedelta(hours=1)
    catalog = items[0].catalog
    log_interactions(catalog, [Event(user.pk, item.pk, "view", timestamp=moment) for item in items])
    seen: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(3):
        page = program.get("interactions", user_id="u", n=2, **cursor).json()
        seen += [row["item_id"] for row in page["interactions"]]
        cursor = {"cursor": page["next_cursor"]}
    assert sorted(seen) == [item.external_id for item in items]
    assert page["has_more"] is False
    assert program.get("interactions", user_id="u", type="like").json()["interactions"] == []
    assert_problem(program.get("interactions", user_id="nobody"), 404)
