"""Two languages: the file of translations is whole, pages speak one of them, the API English."""

import gettext
import re
import shutil
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog as Messages
from babel.messages.pofile import read_po
from django.conf import settings
from django.core.management import call_command
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone, translation

from catalog.events import Event, log_interactions
from catalog.models import EVENT_WEIGHTS, Catalog, Item, SlateLog, User
from ranking import explain
from recsite.api import keys
from tests.recsite.api.program import Program, assert_problem
from tests.recsite.ranking_stub import RankingStub, install
from tests.recsite.untranslated import untranslated

FOLDER = Path(settings.BASE_DIR) / "locale" / "zh_Hans" / "LC_MESSAGES"
PLACEHOLDER = re.compile(r"%(?:\((\w+)\))?[sd]")
CHINESE = {"Accept-Language": "zh-CN,zh;q=0.9"}
PACKAGES = ("catalog", "ranking", "recsite", "training", "templates")  # where texts are

TITLE = "Old fashioned rolled oats"
BODY = "The first sentence of it.\n\nAnd a second one after that."
SIZE = "forty two oz box"
# What may stand in a title or a description, which say no language of their own.
NAMES = (TITLE, SIZE, "Dry goods and pasta", BODY.splitlines()[0])
NEWS_ATTRIBUTES = {"copyright": "© BBC", "published_at_is_simulated": True}


def messages_of(folder: Path) -> Messages:
    with (folder / "django.po").open("rb") as file:
        return read_po(file)


def texts(message: Any, side: str) -> tuple[str, ...]:
    """The forms of one side of a message; several where a number governs it."""
    value = getattr(message, side)
    return value if isinstance(value, tuple) else (value,)


def test_every_text_is_translated_with_all_that_it_must_hold() -> None:
    for message in messages_of(FOLDER):
        if not message.id:
            continue
        assert not message.fuzzy, message.id
        wanted = {match[0] for match in PLACEHOLDER.finditer(texts(message, "id")[-1])}
        for told in texts(message, "string"):
            assert told, f"{message.id!r} has no translation"
            assert {match[0] for match in PLACEHOLDER.finditer(told)} == wanted, message.id


def test_the_compiled_file_is_that_of_the_text() -> None:
    with (FOLDER / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    expected: dict[Any, str] = {}
    for message in messages_of(FOLDER):
        if not message.id:
            continue
        ids, strings = texts(message, "id"), texts(message, "string")
        name = ids[0] if message.context is None else f"{message.context}\x04{ids[0]}"
        if len(ids) == 1:
            expected[name] = strings[0]
        else:
            expected |= {(name, form): told for form, told in enumerate(strings)}
    stored = {name: told for name, told in compiled._catalog.items() if name}  # type: ignore[attr-defined]
    assert stored == expected, "run make messages"


@pytest.mark.skipif(shutil.which("xgettext") is None, reason="xgettext is missing")
def test_no_text_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in PACKAGES:
        hidden = shutil.ignore_patterns("__pycache__", "migrations")
        shutil.copytree(settings.BASE_DIR / package, tmp_path / package, ignore=hidden)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "locale").mkdir()
    with override_settings(LOCALE_PATHS=[tmp_path / "locale"]):
        call_command("makemessages", locale=["zh_Hans"], verbosity=0)
    found = messages_of(tmp_path / "locale" / "zh_Hans" / "LC_MESSAGES")
    known = {(message.context, message.id) for message in messages_of(FOLDER)}
    new = [message.id for message in found if (message.context, message.id) not in known]
    assert not new, "run make messages, and translate what is new"


def test_what_is_left_in_english_is_found() -> None:
    page = """<html lang="zh-hans"><p>Log in to go on</p><p lang="en">Red tea of old</p>
        <p>The Daily Slate</p><button aria-label="Take it away now">✕</button>
        <span class="code">manage.py load it now</span><br><pre>one two three</pre>
        <img alt="将 Red tea of old 加入购物车"><title>Tea for two · Larder</title></html>"""
    assert untranslated(page, ["Tea for two"]) == ["Log in to go on", "Take it away now"]


# Pages.


@pytest.fixture(autouse=True)
def ranking(monkeypatch: pytest.MonkeyPatch) -> RankingStub:
    stub = install(monkeypatch)
    stub.reason = ""  # the ranking's own are tested below
    return stub


def item_of(slug: str, kind: str) -> Item:
    """A demo with thirty items; the first of them."""
    catalog = Catalog.objects.create(
        slug=slug, name=slug.title(), item_kind=kind, event_weights=EVENT_WEIGHTS[kind]
    )
    now = timezone.now()
    items = Item.objects.bulk_create(
        Item(
            catalog=catalog,
            external_id=f"{number:02}",
            title=TITLE,
            body=BODY,
            category="Dry goods and pasta > Cereal of any kind",
            price=number,
            attributes={"size": SIZE} if kind == "product" else NEWS_ATTRIBUTES,
            published_at=now - timedelta(days=number),
        )
        for number in range(30)
    )
    return items[0]


@pytest.fixture
def product(db: None) -> Item:
    return item_of("shop", "product")


@pytest.fixture
def article(db: None) -> Item:
    return item_of("news", "article")


@pytest.fixture
def visitor(client: Client, db: None) -> Client:
    """A member who reads Chinese."""
    client.force_login(User.objects.create_user("mei"))
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "zh-hans"
    return client


def look_at(item: Item) -> None:
    """The visitor has a history."""
    person = User.objects.get(username="mei")
    log_interactions(item.catalog, [Event(user_id=person.pk, item_id=item.pk, type="view")])


def assert_chinese(answer: Any, status: int = 200) -> str:
    assert answer.status_code == status
    page: str = answer.content.decode()
    assert '<html lang="zh-hans"' in page
    assert answer["Content-Language"] == "zh-hans"
    assert not untranslated(page, NAMES)
    return page


@pytest.mark.parametrize(
    "name", ["home", "about", "login", "sign-up", "account", "change-password"]
)
def test_pages_of_the_site_speak_chinese(visitor: Client, product: Item, name: str) -> None:
    look_at(product)
    assert_chinese(visitor.get(reverse(name)))


@pytest.mark.parametrize(
    "address",
    [
        "",
        "aisles/dry-goods-and-pasta/",
        "aisles/dry-goods-and-pasta/?price=0-1&sort=price",
        "search/",
        "search/?q=oats",
        "search/?q=nothing",
        "cart/",
        "profile/",
        "people/",
    ],
)
def test_the_shop_speaks_chinese(
    visitor: Client, product: Item, address: str, settings: Any
) -> None:
    settings.DEMO = True
    User.objects.create_user("h", external_id="household-1", attributes={"age": "35-44", "x": 1})
    look_at(product)
    page = assert_chinese(visitor.get(f"/shop/{address}"))
    assert f'aria-label="{TITLE}"' not in page


def test_buying_speaks_chinese(visitor: Client, product: Item) -> None:
    answer = visitor.post(reverse("shop:cart-add"), {"item": product.pk}, follow=True)
    assert "已加入购物车" in assert_chinese(answer)
    order = {"order_id": str(uuid.uuid4())}
    assert_chinese(visitor.post(reverse("shop:checkout"), order, follow=True))
    assert_chinese(visitor.get(reverse("shop:product", args=[product.pk])))


@pytest.mark.parametrize(
    "address", ["", "section/dry-goods-and-pasta/", "feed/", "feed/?page=2", "search/?q=oats"]
)
def test_the_news_speaks_chinese(visitor: Client, article: Item, address: str) -> None:
    page = assert_chinese(visitor.get(f"/news/{address}"))
    assert "min read" not in page


def test_an_article_speaks_chinese_around_its_own_text(visitor: Client, article: Item) -> None:
    page = assert_chinese(visitor.get(reverse("news:article", args=[article.pk])))
    published = timezone.localtime(article.published_at)
    assert f"{published.year}年{published.month}月{published.day}日" in page
    assert '<div class="article-body" lang="en">' in page


@pytest.mark.parametrize("slug", ["shop", "news"])
def test_waiting_for_the_items_speaks_chinese(visitor: Client, db: None, slug: str) -> None:
    assert_chinese(visitor.get(f"/{slug}/"), status=503)
    catalog = Catalog.objects.create(slug=slug, name=slug, item_kind="product")
    catalog.loads.create(stage="items", done=1200, total=22_225)
    assert "1,200 / 22,225" in assert_chinese(visitor.get(f"/{slug}/"), status=503)


def test_the_path_of_a_slate_speaks_chinese(visitor: Client, product: Item) -> None:
    stages = [
        {"name": name, "milliseconds": 1.0, "detail": {"given by chance": 2}}
        for name in ("context", "near-duplicates", "personal model", "exploration")
    ]
    row = SlateLog.objects.create(
        catalog=product.catalog,
        surface="shop-home",
        item_ids=[product.pk],
        scores=[1.0],
        propensities=[1.0],
        sources=["popular"],
        trace={"stages": stages},
    )
    page = assert_chinese(visitor.get(reverse("feedback:slate", args=[row.pk])))
    assert "个人模型" in page
    assert "随机给出" in page


def test_errors_speak_chinese(visitor: Client, product: Item) -> None:
    assert "这里什么都没有" in assert_chinese(visitor.get("/nowhere/"), status=404)
    strict = Client(enforce_csrf_checks=True, headers=CHINESE)
    assert_chinese(strict.post(reverse("new-guest")), status=403)
    answer = visitor.post(reverse("login"), {"username": "mei", "password": "wrong"})
    assert_chinese(answer, status=422)


def test_a_request_that_cannot_be_read_speaks_chinese(visitor: Client) -> None:
    page = assert_chinese(visitor.get("/shop/search/", {"q": "x"}, headers={"Host": "évil"}), 400)
    assert "无法读取" in page


def test_a_failure_of_ours_speaks_chinese(visitor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("recsite.about.catalog_states", fail)
    visitor.raise_request_exception = False
    page = assert_chinese(visitor.get("/"), status=500)
    assert reverse("set-language") not in page, "this page cannot hold the form's token"


def test_the_reason_of_a_card_is_in_the_language_of_the_page() -> None:
    assert explain.reason(("covisit",), TITLE, 0) == f"Because of “{TITLE}”"
    with translation.override("zh-hans"):
        assert explain.reason(("covisit",), TITLE, 0) == f"因为“{TITLE}”"


# Which language.


def language_of(answer: Any) -> str:
    found = re.search(r'<html lang="([^"]+)"', answer.content.decode())
    assert found
    return found[1]


def test_english_unless_somebody_asks(client: Client, db: None) -> None:
    assert language_of(client.get("/")) == "en"
    assert language_of(client.get("/", headers={"Accept-Language": "fr"})) == "en"


def test_what_the_browser_asks_for_and_the_choice_that_outdoes_it(client: Client, db: None) -> None:
    answer = client.get("/", headers=CHINESE)
    assert language_of(answer) == "zh-hans"
    client.post(reverse("set-language"), {"language": "en", "next": "/"})
    assert language_of(client.get("/", headers=CHINESE)) == "en"


def test_a_choice_leads_back_and_is_kept_for_a_year(client: Client, db: None) -> None:
    answer = client.post(reverse("set-language"), {"language": "zh-hans", "next": "/about/?a=1"})
    assert answer.status_code == 302
    assert answer["Location"] == "/about/?a=1"
    cookie = answer.cookies[settings.LANGUAGE_COOKIE_NAME]
    assert cookie["max-age"] == 365 * 24 * 3600
    assert cookie["samesite"] == "Lax"
    assert cookie["httponly"]
    assert language_of(client.get("/about/")) == "zh-hans"


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "javascript:x"])
def test_a_choice_never_leads_elsewhere(client: Client, db: None, elsewhere: str) -> None:
    for referer in ({}, {"Referer": elsewhere}):
        form = {"language": "zh-hans", "next": elsewhere}
        answer = client.post(reverse("set-language"), form, headers=referer)
        assert answer["Location"] == "/"


def test_a_language_that_is_none_changes_nothing(client: Client, db: None) -> None:
    client.post(reverse("set-language"), {"language": "../x", "next": "/"})
    assert language_of(client.get("/")) == "en"


@pytest.mark.parametrize("address", ["/", "/about/", "/api/docs", "/nowhere/"])
def test_no_cache_may_mix_the_languages(client: Client, db: None, address: str) -> None:
    varies = {part.strip() for part in client.get(address)["Vary"].split(",")}
    assert {"Accept-Language", "Cookie"} <= varies


def test_the_api_speaks_english_to_everybody(client: Client, product: Item) -> None:
    program = Program(keys.create_key(product.catalog, "test"))
    program.client = Client(headers=CHINESE)
    program.client.cookies[settings.LANGUAGE_COOKIE_NAME] = "zh-hans"
    body = assert_problem(
        program.post("items", {"items": [{"title": "no id"}]}), 422, "/items/0/item_id"
    )
    assert "This field is required." in body["detail"]
    assert_problem(program.get("nothing/here"), 404)
    for answer in (program.client.get("/api/v1/items"), program.client.get("/api/schema")):
        assert answer.content.isascii() or not re.search("[\u4e00-\u9fff]", answer.content.decode())
        assert "Accept-Language" not in answer.get("Vary", "")
