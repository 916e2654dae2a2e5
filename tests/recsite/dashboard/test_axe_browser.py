"""Every page under axe-core: no violation in light and dark, on a phone and on a wide screen.

In English and in Chinese.
"""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from catalog.events import Event, log_interactions
from catalog.importers import uploads
from catalog.importers.files import Origin, import_by_kind
from catalog.models import EVENT_WEIGHTS, Catalog, Import, Item, User
from recsite.dashboard.page_times import addresses, whole_pages
from recsite.dashboard.urls import urlpatterns
from recsite.dashboard.workers import Backstage, Worker
from recsite.health import Part
from tests.recsite import ranking_stub
from tests.recsite.dashboard.test_playground import asked, two  # noqa: F401 – fixtures
from tests.recsite.dashboard.test_searches import search
from tests.recsite.test_news_browser import ARGUMENTS
from training import schedules
from training.models import ModelVersion, RunLogLine, RunMetric, TrainingRun

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("asked", "empty_cache"),
]

SCREENS = ({"width": 390, "height": 844}, {"width": 1440, "height": 900})  # px
# What depends on the scheme; all the rest is judged in light, for the markup is the same.
COLOURS = ["color-contrast", "link-in-text-block"]
SCHEMES: dict[str, dict[str, Any]] = {"light": {}, "dark": {"runOnly": COLOURS}}
LANGUAGES = pytest.mark.parametrize("locale", ["en", "zh-hans"])
JUDGE = """async options => {
  const {violations} = await axe.run({resultTypes: ["violations"], preload: false, ...options});
  return violations.flatMap(rule => rule.nodes.map(node =>
    `${rule.id}: ${node.html.slice(0, 160)} at ${node.target.join(" ")}: ${node.failureSummary}`));
}"""
NEWS = (
    "/news/",
    "/news/section/sport/",
    "/news/feed/",
    "/news/search/?q=headline",
    "/news/search/?q=nothing+like+it",
)
SHOP = (
    "/shop/",
    "/shop/aisles/dairy/",
    "/shop/search/?q=product",
    "/shop/search/?q=nothing+like+it",
    "/shop/cart/",
    "/shop/profile/",
    "/shop/people/",
)
ACCOUNT = ("/account/", "/account/password/")
WITHOUT_LOGIN = ("/", "/about/", "/account/login/", "/account/sign-up/", "/nowhere/")


@pytest.fixture
def run(shop: Catalog, two: tuple[ModelVersion, ModelVersion]) -> TrainingRun:  # noqa: F811
    """A run that goes on, beside one that failed, one that registered a model, and a search."""
    now = timezone.now()
    running, _, done = (
        TrainingRun.objects.create(
            catalog=shop,
            kind="train",
            state=state,
            stage="tower, epoch 3",
            progress=0.4,
            started_at=now - timedelta(minutes=4),
            ended_at=None if state == "running" else now,
            lease_expires_at=now + timedelta(hours=1),
            error="Too few visits." if state == "failed" else "",
            tags=["nightly"],
            note="The first of the week.",
            environment={"python": "3.11.7", "torch": "2.13.0"},
        )
        for state in ("running", "failed", "succeeded")
    )
    ModelVersion.objects.filter(pk=two[1].pk).update(run=done)
    for one in (running, done):
        RunMetric.objects.bulk_create(
            RunMetric(run=one, name=name, step=step, value=1 / (step + 1))
            for step in range(12)
            for name in ("tower/train_loss", "tower/valid_ndcg")
        )
        RunLogLine.objects.bulk_create(
            RunLogLine(run=one, text=f"Epoch {step}: a line that is longer than a phone is wide.")
            for step in range(40)
        )
    search(shop)
    return running


@pytest.fixture
def stocked(shop: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty products and stories, a few interactions, and a worker."""
    ranking_stub.install(monkeypatch)
    worker = Worker("celery@one", ["training"], slots=2, busy=1, done=7, uptime=300, pid=42)
    seen = Backstage(Part(True), {"training": 1, "fast": 0}, [worker])
    monkeypatch.setattr("recsite.dashboard.workers.watch.now", lambda: seen)
    weights = EVENT_WEIGHTS["article"]
    paper = Catalog.objects.create(
        slug="news", name="Paper", item_kind="article", event_weights=weights
    )
    now = timezone.now()
    Item.objects.bulk_create(
        Item(
            catalog=catalog,
            external_id=f"item-{number:02}",
            title=f"{word} {number:02}",
            body="One paragraph.\n\nAnother.",
            category=categories[number % 2],
            price=2 if catalog is shop else None,
            attributes={"brand": ("Store brand", "National brand")[number % 2]},
            published_at=now - timedelta(hours=number + 1),
        )
        for catalog, word, categories in (
            (shop, "Product", ("Dairy > Cheese", "Dairy > Milk")),
            (paper, "Headline", ("Business", "Sport")),
        )
        for number in range(60)
    )
    person = User.objects.create(username="~household-1", external_id="household-1")
    kinds = ("view", "click", "purchase")
    log_interactions(
        shop,
        [
            Event(person.pk, item.pk, kinds[place % 3], now, 1.0, uuid.uuid4())
            for place, item in enumerate(shop.items.all()[:9])
        ],
    )


@pytest.fixture
def imported(
    shop: Catalog, run: TrainingRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Import:
    """A file of which a row was bad, imported by a run; the file waits to be looked at again."""
    for folder in ("UPLOAD_DIR", "IMPORT_DIR", "IMPORT_REPORT_DIR"):
        monkeypatch.setattr(settings, folder, tmp_path / folder)
    goods = b"item_id,title,price\nnew-1,Tea,2\nnew-2,Milk,dear\n"
    wanted = {"source": uploads.keep("goods.csv", [goods]), "kind": "items"}
    by = TrainingRun.objects.create(
        catalog=shop, kind="import", state="succeeded", parameters=wanted
    )
    path = uploads.find(wanted["source"])
    outcome = import_by_kind(shop, {"items": path}, origin=Origin("admin", by.pk))
    assert outcome.report is not None
    TrainingRun.objects.filter(pk=by.pk).update(environment={"report": outcome.report.name})
    return Import.objects.get()


@pytest.fixture
def dashboard(
    client: Client,
    session: str,
    stocked: None,
    imported: Import,
    shop: Catalog,
    run: TrainingRun,
    two: tuple[ModelVersion, ModelVersion],  # noqa: F811
) -> list[str]:
    """The addresses of all whole pages of the dashboard: a route that is new is among them."""
    schedule = schedules.save_schedule(shop, "train", "timetable", {"hour": 2})
    named = {
        "slug": shop.slug,
        "run_id": run.pk,
        "bundle_id": two[1].bundle_id,
        "schedule_id": schedule.pk,
        "rule_id": 1,
        "number": imported.pk,
        "name": imported.report,
        "kind": "",
    }
    assert len(addresses(named)) == len(urlpatterns)  # a new route's names stand above
    pages = whole_pages(client, named)
    assert len(pages) >= 18  # the rest are buttons, fragments and files
    assert reverse("dashboard:import-undo", args=[shop.slug, imported.pk]) in pages
    others = TrainingRun.objects.exclude(pk=run.pk)
    waiting = TrainingRun.objects.get(kind="import").parameters
    chosen = "&".join(f"run={one.pk}" for one in (run, *others.filter(kind="train")))
    return [
        *pages,
        *(reverse("dashboard:run", args=[one.pk]) for one in others),
        f"{reverse('dashboard:run-compare')}?{chosen}",
        f"{reverse('dashboard:audit')}?since=yesterday",
        f"{reverse('dashboard:doctor', args=[shop.slug])}?now=1",
        f"{reverse('dashboard:import-file', args=[shop.slug])}?{urlencode(waiting)}",
    ]


@pytest.fixture
def demos(stocked: None) -> list[str]:
    """The addresses of the shop's pages, a product first, of the news' and of the account's."""
    product, story = (
        Item.objects.filter(catalog__slug=slug).latest("pk").pk for slug in ("shop", "news")
    )
    return [f"/shop/products/{product}/", f"/news/article/{story}/", *SHOP, *NEWS, *ACCOUNT]


@pytest.fixture
def session(admin: User, client: Client) -> str:
    """The cookie of an admin who is logged in."""
    client.force_login(admin)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


@pytest.fixture
def browser(chromium_path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)


def visitor(browser: Browser, address: str, locale: str, session: str = "") -> BrowserContext:
    """A visitor in whose pages axe stands ready; with a session, somebody who is logged in."""
    context = browser.new_context(base_url=address, locale=locale, reduced_motion="reduce")
    context.set_default_timeout(20_000)  # ms
    context.add_init_script(AXE_SCRIPT)  # the browser's own way in, which no policy concerns
    if session:
        name = settings.SESSION_COOKIE_NAME
        context.add_cookies([{"name": name, "value": session, "url": address}])
    return context


def violations(page: Page, path: str) -> list[str]:
    """What axe finds on the page at this address, on each screen and in each scheme."""
    found = []
    page.goto(path)
    for screen in SCREENS:
        page.set_viewport_size(screen)  # type: ignore[arg-type]
        for scheme, options in SCHEMES.items():
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            told = page.evaluate(JUDGE, options)
            found += [f"{path} {screen['width']} {scheme}: {one}" for one in told]
    return found


@LANGUAGES
def test_the_dashboard(
    live_server: Any, session: str, dashboard: list[str], browser: Browser, locale: str
) -> None:
    page = visitor(browser, str(live_server), locale, session).new_page()
    assert [one for path in dashboard for one in violations(page, path)] == []


@LANGUAGES
def test_the_shop_the_news_and_the_account(
    live_server: Any, session: str, demos: list[str], browser: Browser, locale: str
) -> None:
    page = visitor(browser, str(live_server), locale, session).new_page()
    page.goto(demos[0])
    with override(locale):
        add, added = _("Add to cart"), _("%(title)s is in your cart.") % {"title": ""}
    page.get_by_role("button", name=add).first.click()
    page.get_by_role("status").get_by_text(added).wait_for()
    found = [one for path in demos for one in violations(page, path)]
    stranger = visitor(browser, str(live_server), locale).new_page()
    assert found + [one for path in WITHOUT_LOGIN for one in violations(stranger, path)] == []
