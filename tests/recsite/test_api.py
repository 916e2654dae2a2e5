"""The REST API: keys, problems, items, interactions, slates, health, schema."""

import io
import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerAway

from catalog.events import Event, log_interactions
from catalog.models import EVENT_WEIGHTS, ApiKey, Catalog, Interaction, Item, SlateLog, User
from recsite.api import keys
from tests.recsite.ranking_stub import RankingStub, install
from training import tasks

pytestmark = pytest.mark.django_db

PROBLEM = "application/problem+json"


class Program:
    """A client with a key."""

    def __init__(self, key: str) -> None:
        self.client = Client(raise_request_exception=False)
        self.headers = {"X-API-Key": key}

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(f"/api/v1/{path}", query, headers=self.headers)

    def send(
        self, method: str, path: str, body: Any, content_type: str = "application/json"
    ) -> Any:
        data = body if isinstance(body, str | bytes) else json.dumps(body)
        return self.client.generic(
            method, f"/api/v1/{path}", data, content_type=content_type, headers=self.headers
        )

    def post(self, path: str, body: Any) -> Any:
        return self.send("POST", path, body)


@pytest.fixture
def shop() -> Catalog:
    return Catalog.objects.create(
        slug="shop", name="Shop", item_kind="product", event_weights=EVENT_WEIGHTS["product"]
    )


@pytest.fixture
def program(shop: Catalog) -> Program:
    return Program(keys.create_key(shop, "test"))


@pytest.fixture
def items(shop: Catalog) -> list[Item]:
    return [
        Item.objects.create(
            catalog=shop,
            external_id=f"item-{number}",
            title=f"Tea {number}",
            category="Tea > Green",
        )
        for number in range(5)
    ]


@pytest.fixture
def ranking(monkeypatch: pytest.MonkeyPatch) -> RankingStub:
    return install(monkeypatch)


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Catalogs whose new items a worker was asked to encode."""
    called: list[int] = []
    monkeypatch.setattr(tasks.refresh_vectors, "delay", called.append)
    return called


def assert_problem(answer: Any, status: int, *places: str) -> dict[str, Any]:
    """The answer is a problem of this status that names these places, and no others."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == PROBLEM
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    found = [error.get("pointer", error.get("parameter")) for error in body.get("errors", [])]
    assert found == list(places)
    return body


# Keys


@pytest.mark.parametrize(
    "path", ["items", "items/a", "interactions?user_id=a", "recommendations", "search?q=a"]
)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": "12345678.wrong"},
        {"X-API-Key": "a\0b"},
        {"X-API-Key": "é" * 500},
        {"Authorization": "Bearer 12345678.wrong"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer"},
    ],
)
def test_without_a_key_401(shop: Catalog, path: str, headers: dict[str, str]) -> None:
    answer = Client().get(f"/api/v1/{path}", headers=headers)
    assert_problem(answer, 401)
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_a_right_prefix_with_a_wrong_secret_401(program: Program) -> None:
    key = program.headers["X-API-Key"]
    program.headers["X-API-Key"] = key[:-1] + ("a" if key[-1] != "a" else "b")
    assert_problem(program.get("items"), 401)


def test_a_revoked_key_401(program: Program) -> None:
    ApiKey.objects.update(revoked_at=timezone.now())
    assert_problem(program.get("items"), 401)


def test_a_bearer_token_works_and_its_use_is_noted(program: Program) -> None:
    program.headers = {"Authorization": f"Bearer {program.headers['X-API-Key']}"}
    assert program.get("items").status_code == 200
    assert ApiKey.objects.get().last_used_at is not None


def test_another_catalogs_key_403(program: Program) -> None:
    Catalog.objects.create(slug="news", name="News", item_kind="article")
    for answer in (
        program.get("items", catalog="news"),
        program.get("items", catalog="no-such-catalog"),  # and it doesn't tell which exist
        program.get("items/a", catalog="news"),
        program.get("recommendations", catalog="news"),
        program.get("search", q="a", catalog="news"),
        program.get("interactions", user_id="a", catalog="news"),
        program.post("items", {"catalog": "news", "items": [{"item_id": "a", "title": "A"}]}),
        program.post(
            "interactions",
            {"catalog": "news", "interactions": [{"user_id": "u", "item_id": "a", "type": "view"}]},
        ),
    ):
        assert_problem(answer, 403)
    assert not Item.objects.exists()


def test_the_key_is_not_stored(shop: Catalog) -> None:
    key = keys.create_key(shop, "test")
    row = ApiKey.objects.get()
    assert key not in {row.prefix, row.key_hash, row.name}
    assert len(key) > 40


def test_the_command_prints_a_key_that_works(shop: Catalog) -> None:
    out = io.StringIO()
    call_command("create_api_key", "shop", "--name", "till", stdout=out)
    assert Program(out.getvalue().strip()).get("items").status_code == 200
    assert ApiKey.objects.get().name == "till"
    with pytest.raises(CommandError, match="no catalog 'shpo'; there are: shop"):
        call_command("create_api_key", "shpo", "--name", "till")


# Problems


def test_unknown_addresses_and_methods_are_problems(program: Program) -> None:
    assert_problem(program.get("nothing/here"), 404)
    answer = program.send("PUT", "items", {})
    assert_problem(answer, 405)
    assert "GET" in answer["Allow"]
    assert_problem(program.send("POST", "items", "a=1", "application/x-www-form-urlencoded"), 415)
    accept = {**program.headers, "Accept": "text/csv"}
    assert_problem(program.client.get("/api/v1/items", headers=accept), 406)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ("{", ""),
        ("", "/items"),
        ("[]", ""),
        ('"items"', ""),
        ("null", ""),
        (b"\xff\xfe", ""),
        ('{"items": NaN}', ""),
        ('{"items": 1e999}', ""),
        ("[" * 100_000, ""),
        ("{}", "/items"),
        ('{"items": []}', "/items"),
        ('{"items": {}}', "/items"),
        ('{"items": [1]}', "/items/0"),
        ('{"items": [{"item_id": "a"}]}', "/items/0/title"),
        ('{"items": [{"item_id": "a", "title": "  "}]}', "/items/0/title"),
        ('{"items": [{"item_id": "", "title": "A"}]}', "/items/0/item_id"),
        ('{"items": [{"item_id": "a", "title": "A", "price": "x"}]}', "/items/0/price"),
        ('{"items": [{"item_id": "a", "title": "A", "price": -1}]}', "/items/0/price"),
        ('{"items": [{"item_id": "a", "title": "A", "price": 1e30}]}', "/items/0/price"),
        ('{"items": [{"item_id": "a", "title": "A", "available": "?"}]}', "/items/0/available"),
        ('{"items": [{"item_id": "a", "title": "A", "attributes": 1}]}', "/items/0/attributes"),
        ('{"items": [{"item_id": "a", "title": "A", "titel": 1}]}', "/items/0/titel"),
        ('{"items": [{"item_id": "a", "title": "A", "a/b~c": 1}]}', "/items/0/a~1b~0c"),
        ('{"items": [{"item_id": "a", "title": "A\\u0000"}]}', "/items/0/title"),
        ('{"items": [{"item_id": "a", "title": "A\\ud800"}]}', "/items/0/title"),
        ('{"items": [{"item_id": "a", "title": "A", "attributes": {"k": "\\u0000"}}]}',
         "/items/0/attributes/k"),
        ('{"items": [{"item_id": "a", "title": "A", "published_at": "soon"}]}',
         "/items/0/published_at"),
        ('{"items": [{"item_id": "a", "title": "A"}, {"item_id": "a", "title": "B"}]}',
         "/items/1/item_id"),
    ],
)  # fmt: skip
def test_malformed_bodies_name_the_field(program: Program, body: str | bytes, place: str) -> None:
    assert_problem(program.send("POST", "items", body), 422, place)
    assert not Item.objects.exists()


def test_too_large_a_body_413(program: Program, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    assert_problem(program.post("items", {"items": [{"item_id": "a", "title": "A" * 200}]}), 413)


def test_too_many_items_422(program: Program) -> None:
    rows = [{"item_id": str(number), "title": "A"} for number in range(5001)]
    body = assert_problem(program.post("items", {"items": rows}), 422, "/items")
    assert "5000" in body["detail"]


@pytest.mark.parametrize(
    ("path", "query", "place"),
    [
        ("items", {"n": "0"}, "n"),
        ("items", {"n": "many"}, "n"),
        ("items", {"cursor": "x"}, "cursor"),
        ("items", {"cursor": "YWZ0ZXIgLTE="}, "cursor"),
        ("items", {"page": "2"}, "page"),
        ("recommendations", {"n": "101"}, "n"),
        ("recommendations", {"surface": "a b"}, "surface"),
        ("search", {}, "q"),
        ("search", {"q": ""}, "q"),
        ("search", {"q": "a", "offset": "490"}, "offset"),
        ("interactions", {}, "user_id"),
    ],
)
def test_wrong_parameters_are_named(
    program: Program, path: str, query: dict[str, str], place: str
) -> None:
    assert_problem(program.get(path, **query), 422, place)


def test_an_unforeseen_error_is_a_problem_without_its_text(
    program: Program, monkeypatch: pytest.MonkeyPatch, ranking: RankingStub
) -> None:
    monkeypatch.setattr(ranking, "recommend", None)
    monkeypatch.setattr("ranking.pipeline.recommend", lambda query: 1 / 0)
    body = assert_problem(program.get("recommendations"), 500)
    assert "division" not in json.dumps(body)


# Items


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


# Interactions


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


# Slates


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


def test_a_slate_costs_few_queries(
    program: Program, items: list[Item], ranking: RankingStub, django_assert_max_num_queries: Any
) -> None:
    User.objects.create(username="~u", external_id="u")
    program.get("recommendations", user_id="u")
    with django_assert_max_num_queries(7):  # four are the stub's own
        program.get("recommendations", user_id="u")


# Health and schema


def test_health_needs_no_key_and_names_every_part(items: list[Item]) -> None:
    answer = Client().get("/api/v1/health")
    assert answer.status_code == 200
    body = answer.json()
    assert set(body["parts"]) == {"database", "broker", "worker", "encoder"}
    assert body["serving"] is True
    assert body["parts"]["database"] == {"ready": True}
    assert body["catalogs"] == [
        {
            "slug": "shop", "name": "Shop", "ready": True, "items": 5, "vectors": 0,
            "bundle_id": None, "loads": [],
        }
    ]  # fmt: skip


def test_health_says_when_a_catalog_still_loads(items: list[Item]) -> None:
    items[0].catalog.loads.create(stage="interactions", done=10, total=100)
    catalog = Client().get("/api/v1/health").json()["catalogs"][0]
    assert catalog["ready"] is False
    assert catalog["loads"][0] == {
        "stage": "interactions", "done": 10, "total": 100, "finished": False, "message": "",
    }  # fmt: skip


def test_health_without_a_broker(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from recsite import health

    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(health, "backstage", health._Backstage())
    answer = Client().get("/api/v1/health")
    assert answer.status_code == 200
    parts = answer.json()["parts"]
    assert parts["broker"]["ready"] is False
    assert parts["worker"]["ready"] is False
    assert answer.json()["ready"] is False


def test_the_schema_is_made_without_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", "/dev/null")
    assert capsys.readouterr().err == ""


def test_the_schema_and_its_page_are_open() -> None:
    client = Client()
    assert client.get("/api/schema").status_code == 200
    page = client.get("/api/docs")
    assert page.status_code == 200
    assert "swagger-ui" in page.content.decode()
    assert "unsafe" not in page["Content-Security-Policy"]
    script = client.get("/api/docs?script=")
    assert script["Content-Type"].startswith("application/javascript")
