"""What pages report: clicks that ride on links, batches from scripts, impressions; its limits."""

import json
import uuid
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from catalog.models import EVENT_WEIGHTS, Catalog, Interaction, Item, SlateLog, User
from recsite import feedback

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Catalog:
    return Catalog.objects.create(
        slug="shop", name="Larder", item_kind="product", event_weights=EVENT_WEIGHTS["product"]
    )


@pytest.fixture
def items(shop: Catalog) -> list[Item]:
    return [
        Item.objects.create(catalog=shop, external_id=f"i{n}", title=f"Thing {n}", price=n + 1)
        for n in range(4)
    ]


@pytest.fixture
def slate(shop: Catalog, items: list[Item]) -> SlateLog:
    """A slate that was shown to a visitor without a row."""
    return SlateLog.objects.create(
        catalog=shop,
        surface="shop-home",
        item_ids=[item.pk for item in items],
        scores=[1.0] * 4,
        propensities=[1.0] * 4,
        sources=["popular"] * 4,
    )


def report(client: Client, rows: Any, name: str = "interactions") -> Any:
    return client.post(reverse(f"feedback:{name}"), {"payload": json.dumps(rows)})


def click_link(client: Client, item: Item, slate_id: object, position: int) -> Any:
    address = reverse("shop:product", args=[item.pk])
    return client.get(address, {"s": str(slate_id), "p": str(position)})


def test_a_link_counts_one_click_however_often_it_is_followed(
    client: Client, items: list[Item], slate: SlateLog
) -> None:
    for _ in range(3):
        assert click_link(client, items[2], slate.pk, 2).status_code == 200
    click = Interaction.objects.get()
    assert (click.type, click.item_id, click.slate_id, click.position) == (
        "click",
        items[2].pk,
        slate.pk,
        2,
    )
    slate.refresh_from_db()
    assert slate.user_id == click.user_id  # the slate is now this guest's
    assert slate.seen_positions == [2]  # what was clicked was seen


def test_the_scripts_click_and_the_links_click_are_one(
    client: Client, items: list[Item], slate: SlateLog
) -> None:
    click_link(client, items[0], slate.pk, 0)
    row = {"type": "click", "item": items[0].pk, "slate": str(slate.pk), "position": 0}
    answer = report(client, [{**row, "event_id": str(uuid.uuid4())}])
    assert answer.json() == {"accepted": 0, "duplicates": 1, "refused": []}
    assert Interaction.objects.count() == 1


@pytest.mark.parametrize(
    ("position", "slate_id"),
    [(1, None), (99, None), (-1, None), (0, uuid.uuid4()), (0, "nonsense"), (0, "\x00")],
)
def test_a_link_that_does_not_fit_the_slate_is_no_click(
    client: Client, items: list[Item], slate: SlateLog, position: int, slate_id: object
) -> None:
    answer = click_link(client, items[0], slate_id or slate.pk, position)
    assert answer.status_code == 200
    assert not Interaction.objects.exists()
    assert not User.objects.exists()  # no guest's row for a mere look


def test_a_link_passed_on_is_not_the_other_persons_click(
    client: Client, items: list[Item], slate: SlateLog
) -> None:
    SlateLog.objects.update(user=User.objects.create(username="owner"))
    click_link(client, items[0], slate.pk, 0)
    assert not Interaction.objects.exists()


def test_a_batch_goes_to_the_catalogs_of_its_items_and_counts_once(
    client: Client, items: list[Item]
) -> None:
    news = Catalog.objects.create(
        slug="news", name="N", item_kind="article", event_weights=EVENT_WEIGHTS["article"]
    )
    article = Item.objects.create(catalog=news, external_id="a", title="A")
    rows = [
        {"type": "view", "item": items[0].pk, "event_id": str(uuid.uuid4())},
        {"type": "read", "item": article.pk, "value": 12.5, "event_id": str(uuid.uuid4())},
    ]
    assert report(client, rows).json() == {"accepted": 2, "duplicates": 0, "refused": []}
    assert report(client, rows).json() == {"accepted": 0, "duplicates": 2, "refused": []}
    read = Interaction.objects.get(catalog=news)
    assert (read.type, read.value, read.is_simulated) == ("read", 12.5, False)
    assert User.objects.get().is_guest


def test_a_bad_row_is_refused_alone_and_named_by_its_place(
    client: Client, items: list[Item]
) -> None:
    rows = [
        {"type": "view", "item": 987654321},
        {"type": "view", "item": items[0].pk},
        {"type": "read", "item": items[0].pk, "value": 5},  # a shop doesn't count reads
    ]
    answer = report(client, rows).json()
    assert answer["accepted"] == 1
    assert [(row["index"], row["field"]) for row in answer["refused"]] == [
        (0, "item_id"),
        (2, "type"),
    ]


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "{",
        "[" * 100_000,
        "{}",
        "[1]",
        '[{"type": "purchase", "item": 1}]',
        '[{"type": "add", "item": 1}]',
        '[{"type": ["view"], "item": 1}]',
        '[{"type": "view"}]',
        '[{"type": "view", "item": "x"}]',
        '[{"type": "view", "item": 99999999999999999999}]',
        '[{"type": "view", "item": 1, "event_id": "x"}]',
        '[{"type": "view", "item": 1, "value": "many"}]',
        '[{"type": "view", "item": 1, "value": NaN}]',
        '[{"type": "view", "item": 1, "position": -3}]',
        json.dumps([{"type": "view", "item": 1}] * (feedback.LARGEST_BATCH + 1)),
    ],
)
def test_a_malformed_payload_is_a_400_and_writes_nothing(client: Client, payload: str) -> None:
    answer = client.post(reverse("feedback:interactions"), {"payload": payload})
    assert answer.status_code == 400
    assert answer.content
    assert not User.objects.exists()


def test_reading_longer_than_half_an_hour_is_a_tab_left_open(client: Client) -> None:
    news = Catalog.objects.create(
        slug="news", name="N", item_kind="article", event_weights=EVENT_WEIGHTS["article"]
    )
    article = Item.objects.create(catalog=news, external_id="a", title="A")
    report(client, [{"type": "read", "item": article.pk, "value": 90_000}])
    assert Interaction.objects.get().value == feedback.LONGEST_READ


def test_impressions_add_up_and_only_for_the_slates_own_person(
    client: Client, slate: SlateLog
) -> None:
    strangers = SlateLog.objects.create(
        catalog=slate.catalog,
        user=User.objects.create(username="stranger"),
        surface="shop-home",
        item_ids=slate.item_ids,
        scores=slate.scores,
        propensities=slate.propensities,
        sources=slate.sources,
    )
    first = [{"slate": str(slate.pk), "positions": [0, 1, 40]}]
    assert report(client, first, "impressions").json() == {"slates": 1, "unknown": 0}
    second = [
        {"slate": str(slate.pk), "positions": [1, 3]},
        {"slate": str(strangers.pk), "positions": [0]},
    ]
    assert report(client, second, "impressions").json() == {"slates": 1, "unknown": 1}
    slate.refresh_from_db()
    strangers.refresh_from_db()
    assert (slate.seen_positions, strangers.seen_positions) == ([0, 1, 3], [])
    assert User.objects.filter(is_guest=True).count() == 0  # seeing is no write of a guest's row


@pytest.mark.parametrize(
    "row",
    [{}, {"slate": "x", "positions": []}, {"slate": str(uuid.uuid4()), "positions": "0"}],
)
def test_malformed_impressions_are_a_400(client: Client, row: dict[str, Any]) -> None:
    assert report(client, [row], "impressions").status_code == 400


def test_a_form_is_sent_on_to_our_own_pages_only(client: Client, items: list[Item]) -> None:
    form = {"type": "like", "item": items[0].pk, "event_id": str(uuid.uuid4())}
    inside = client.post(reverse("feedback:interactions"), {**form, "next": "/shop/cart/"})
    outside = client.post(reverse("feedback:interactions"), {**form, "next": "https://evil.test/"})
    assert (inside["Location"], outside["Location"]) == ("/shop/cart/", "/")
    assert Interaction.objects.get().type == "like"  # the same form twice is one like
    assert "Noted: more like this." in client.get(reverse("shop:cart")).content.decode()


def test_a_number_that_no_float_holds_is_a_400(client: Client, items: list[Item]) -> None:
    row = {"type": "rate", "item": items[0].pk, "value": 10**400}
    assert report(client, [row]).status_code == 400


@pytest.mark.parametrize("name", ["interactions", "impressions"])
def test_reports_need_the_csrf_token_and_post(name: str) -> None:
    strict = Client(enforce_csrf_checks=True)
    assert strict.post(reverse(f"feedback:{name}"), {"payload": "[]"}).status_code == 403
    assert strict.get(reverse(f"feedback:{name}")).status_code == 405


def test_the_inspector_shows_stages_scores_and_bundle(
    client: Client, slate: SlateLog, items: list[Item]
) -> None:
    stages = [
        {
            "name": "sources",
            "entered": 900,
            "left": 321,
            "milliseconds": 3.0,
            "detail": {"tower": 7},
        },
        {"name": "ranker", "entered": 321, "left": 4, "milliseconds": 1.0, "detail": {}},
    ]
    SlateLog.objects.update(bundle_id="shop-7", trace={"stages": stages})
    address = reverse("feedback:slate", args=[slate.pk])
    page = client.get(address).content.decode()
    for shown in (
        "shop home",
        "shop-7",
        "321",
        "3.0 ms",
        "tower",
        "1.000",
        items[3].title,
        "<html",
    ):
        assert shown in page
    fragment = client.get(address, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in fragment
    assert "shop-7" in fragment


def test_only_the_slates_person_and_staff_may_inspect(client: Client, slate: SlateLog) -> None:
    owner = User.objects.create(username="owner")
    SlateLog.objects.update(user=owner)
    address = reverse("feedback:slate", args=[slate.pk])
    assert client.get(address).status_code == 404
    client.force_login(User.objects.create(username="other"))
    assert client.get(address).status_code == 404
    client.force_login(owner)
    assert client.get(address).status_code == 200
    client.force_login(User.objects.create(username="chief", is_staff=True))
    assert client.get(address).status_code == 200
    assert client.get(reverse("feedback:slate", args=[uuid.uuid4()])).status_code == 404
