"""The promises that hold for every page: policy, forgery, staff pages, escaping, redirects."""

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from catalog.models import EVENT_WEIGHTS, Catalog, Item, User
from recsite.api.keys import create_key
from tests.recsite.ranking_stub import RankingStub, install

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_cache")]

EXAMPLES = {"int": "1", "slug": "news", "uuid": str(uuid.uuid4()), "path": "tea", "str": "x"}
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'; alert(1); //",
    "{{ 7|add:7 }}{% load x %}",
    "</title></textarea></style>",
    "‮evil‬ مرحبا \u200b",
)


def addresses(patterns: list[Any] | None = None, prefix: str = "/") -> Iterator[str]:
    """An example of every address of the site."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = re.sub(
            r"<(?:(\w+):)?\w+>", lambda found: EXAMPLES[found[1] or "str"], str(pattern.pattern)
        )
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, prefix + route)
        elif isinstance(pattern, URLPattern) and not route.startswith("^"):
            yield prefix + route


ALL = sorted(set(addresses()))
PAGES = [address for address in ALL if not address.startswith("/api/v1/")]
DASHBOARD = [address for address in ALL if address.startswith("/dashboard/")]


@pytest.fixture(autouse=True)
def ranking(monkeypatch: pytest.MonkeyPatch) -> RankingStub:
    return install(monkeypatch)


def make_catalog(slug: str, kind: str) -> Catalog:
    return Catalog.objects.create(
        slug=slug, name=slug.title(), item_kind=kind, event_weights=EVENT_WEIGHTS[kind]
    )


@pytest.fixture
def hostile() -> list[Item]:
    """Both demos, with items whose every text attacks."""
    now = timezone.now()
    return [
        Item.objects.create(
            catalog=catalog,
            external_id=f"{number}{text}"[:200],
            title=f"Word {number} {text}",
            body=f"{text}\n\n{text}",
            category=f"Tea > {text}",
            attributes={"brand": text, "size": text, "copyright": text, "source": text},
            price=number,
            image=f"javascript:{text}",
            published_at=now - timedelta(minutes=number + 1),
        )
        for catalog in (make_catalog("shop", "product"), make_catalog("news", "article"))
        for number, text in enumerate(HOSTILE)
    ]


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("boss"))
    return client


def assert_strict(answer: Any) -> None:
    """The policy admits scripts and styles of ours and with this answer's nonce, nothing else."""
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy
    assert "http:" not in policy
    assert "https:" not in policy
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Referrer-Policy"] == "same-origin"
    if answer["Content-Type"].startswith("text/html"):
        assert_obeys(answer.content.decode(), policy)


def assert_obeys(page: str, policy: str) -> None:
    """The page needs nothing that its policy forbids."""
    tags = re.findall(r"<[a-z][^>]*>", re.sub(r"<!--.*?-->", "", page, flags=re.S))
    for tag in tags:
        bare = re.sub(r'"[^"]*"|\'[^\']*\'', '""', tag)  # without what stands in quotes
        assert not re.search(r"\sstyle\s*=", bare), tag
        assert not re.search(r"\son[a-z]+\s*=", bare), tag
        assert "hx-on" not in bare, tag
        if tag.startswith(("<script", "<style")) and "src=" not in tag:
            nonce = re.search(r'nonce="([^"]+)"', tag)
            assert nonce, tag
            assert f"'nonce-{nonce[1]}'" in policy, tag
    assert not re.search(r'(?:href|src|action)="\s*javascript:', page, re.I)


def test_the_walk_finds_the_site() -> None:
    assert {"/", "/shop/", "/news/", "/dashboard/", "/api/docs", "/api/v1/items"} <= set(ALL)
    assert len(ALL) > 40


@pytest.mark.parametrize("address", ALL)
@pytest.mark.usefixtures("hostile")
def test_every_address_answers_with_a_strict_policy(address: str) -> None:
    answer = Client(raise_request_exception=False).get(address)
    assert answer.status_code < 500, answer.content[:300]
    assert_strict(answer)


@pytest.mark.parametrize("address", DASHBOARD)
@pytest.mark.usefixtures("hostile")
def test_staff_pages_obey_the_policy(staff: Client, address: str) -> None:
    answer = staff.get(address)
    assert answer.status_code < 500
    assert_strict(answer)


def test_each_answer_has_a_nonce_of_its_own(client: Client) -> None:
    policies = {client.get("/about/")["Content-Security-Policy"] for _ in range(3)}
    assert len(policies) == 3


@pytest.mark.parametrize("address", PAGES)
@pytest.mark.usefixtures("hostile")
def test_no_post_without_a_token(address: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("boss"))
    if address.startswith("/api/"):
        assert client.post(address).status_code in {403, 405}
    else:
        assert client.post(address).status_code == 403


@pytest.mark.parametrize("address", [address for address in ALL if "/api/v1/" in address])
def test_a_session_opens_nothing_in_the_api(staff: Client, address: str) -> None:
    if address in {"/api/v1/health"}:
        return
    assert staff.get(address).status_code in {401, 405}
    assert staff.post(address, "{}", content_type="application/json").status_code in {401, 405}


@pytest.mark.parametrize("address", DASHBOARD)
@pytest.mark.parametrize("method", ["get", "post"])
def test_the_dashboard_is_closed(client: Client, address: str, method: str) -> None:
    make_catalog("news", "article")
    answer = getattr(client, method)(address)
    assert answer.status_code == 302
    assert answer["Location"].startswith(f"{reverse('login')}?next=")
    client.force_login(User.objects.create_user("ada"))
    assert getattr(client, method)(address).status_code == 403


def pages_with_items(items: list[Item]) -> Iterator[str]:
    """Every page that shows texts of items."""
    yield from ("/", "/about/", "/shop/", "/news/", "/news/feed/", "/account/")
    yield from ("/shop/search/?q=word", "/news/search/?q=word", "/shop/search/suggest/?q=word")
    yield from ("/news/section/tea/", "/shop/aisles/tea/", "/shop/cart/", "/shop/profile/")
    for item in items:
        kind = "products" if item.catalog.slug == "shop" else "article"
        yield f"/{item.catalog.slug}/{kind}/{item.pk}/"


def test_texts_of_items_are_escaped_whatever_they_hold(client: Client, hostile: list[Item]) -> None:
    shown = braces = 0
    for address in pages_with_items(hostile):
        answer = client.get(address)
        assert answer.status_code in {200, 404}, address
        page = answer.content.decode()
        assert "<script>alert" not in page, address
        assert "<img src=x" not in page, address
        assert "</title></textarea>" not in page, address
        assert_obeys(page, answer["Content-Security-Policy"])
        shown += page.count("&lt;script&gt;alert(1)&lt;/script&gt;")
        braces += page.count("{{ 7|add:7 }}{% load x %}")
    assert shown > 10, "the hostile titles are not on the pages"
    assert braces > 10, "a text was taken for a template"


def test_an_articles_text_stays_as_it_is(client: Client, hostile: list[Item]) -> None:
    strange = hostile[-1]
    assert strange.title in client.get(f"/news/article/{strange.pk}/").content.decode()


def test_typed_texts_are_escaped(client: Client) -> None:
    make_catalog("news", "article").items.create(external_id="a", title="A")
    make_catalog("shop", "product").items.create(external_id="a", title="A", price=1)
    for text in HOSTILE:
        for address in ("/news/search/", "/shop/search/", "/account/login/", "/account/sign-up/"):
            answer = client.get(address, {"q": text, "next": text})
            page = answer.content.decode()
            assert "<script>alert" not in page, address
            assert "<img src=x" not in page, address
            assert_obeys(page, answer["Content-Security-Policy"])


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "http:evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "\x00//evil.example",
        " //evil.example",
        "/news/\r\nX-Header: 1",
    ],
)
def test_redirects_stay_on_this_site(
    client: Client, hostile: list[Item], settings: Any, target: str
) -> None:
    settings.DEMO = True
    User.objects.create(username="~reader-1", external_id="reader-1")
    article = hostile[-1]
    forms: dict[str, dict[str, Any]] = {
        "login": {},
        "look-as": {"external_id": "reader-1"},
        "stop-looking": {},
        "new-guest": {},
        "news:react": {"item": article.pk, "action": "like"},
        "news:follow": {"section": "tea"},
        "feedback:interactions": {"item": article.pk, "type": "like"},
        "shop:cart-add": {"item": hostile[0].pk},
        "shop:forget": {},
    }
    for name, fields in forms.items():
        answer = client.post(reverse(name), {**fields, "next": target})
        if answer.status_code == 302:
            assert re.match(r"/(?![/\\])", answer["Location"]), (name, answer["Location"])
            assert "evil" not in answer["Location"].lower(), name
            assert "X-Header" not in answer


def test_cookies_are_for_the_server_and_for_us_alone(client: Client) -> None:
    User.objects.create_user("ada", password="correct horse battery")
    client.post(reverse("login"), {"username": "ada", "password": "correct horse battery"})
    session = client.cookies[settings.SESSION_COOKIE_NAME]
    assert session["httponly"]
    assert session["samesite"] == "Lax"
    assert client.cookies[settings.CSRF_COOKIE_NAME]["samesite"] == "Lax"


def test_a_foreign_host_name_is_refused(client: Client) -> None:
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400


def in_production(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the environment of a site behind TLS."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "recsite.settings",
        "HTTPS": "true",
        "DEBUG": "false",
        "SECRET_KEY": "k" * 30 + "0123456789-ABCDEFGHIJ-abcdefghij",
        "ALLOWED_HOSTS": "shop.example",
    }
    root = Path(settings.BASE_DIR)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_the_deployment_check_is_clean() -> None:
    done = in_production("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no issues" in done.stdout


def test_behind_tls_cookies_are_secure() -> None:
    script = (
        "from django.conf import settings as s;"
        "print(s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, s.SECURE_SSL_REDIRECT,"
        " s.SECURE_HSTS_SECONDS > 0, s.DEBUG)"
    )
    done = in_production("-c", script)
    assert done.stdout.split() == ["True", "True", "True", "True", "False"], done.stderr


@pytest.mark.parametrize(
    ("method", "address", "fields", "status"),
    [
        ("GET", "/api/v1/items/a%00b", {}, 404),
        ("GET", "/dashboard/models/shop/a%00b/", {}, 404),
        ("GET", "/dashboard/runs/?state=a%00b", {}, 400),
        ("POST", "/account/look-as/", {"external_id": "a\0b"}, 400),
    ],
)
def test_a_nul_is_the_senders_mistake(
    settings: Any, method: str, address: str, fields: dict[str, str], status: int
) -> None:
    settings.DEMO = True
    shop = make_catalog("shop", "product")
    client = Client(raise_request_exception=False, headers={"X-API-Key": create_key(shop, "x")})
    client.force_login(User.objects.create_user("chief", is_staff=True))
    answer = client.post(address, fields) if method == "POST" else client.get(address)
    assert answer.status_code == status
