"""The REST API: keys, problems, health, schema."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from catalog.models import ApiKey, Catalog, Item
from recsite.api import keys
from tests.recsite.api.program import Program, assert_problem
from tests.recsite.ranking_stub import RankingStub

pytestmark = pytest.mark.django_db


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
