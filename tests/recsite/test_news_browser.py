"""The newspaper in a real browser: what needs scripts, and that the policy lets them run."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, sync_playwright

from catalog.models import EVENT_WEIGHTS, Catalog, Interaction, Item, SlateLog
from tests.recsite.ranking_stub import install

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(autouse=True)
def stories(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty articles, and a ranking in the order of their ids."""
    install(monkeypatch)
    now = timezone.now()
    paper = Catalog.objects.create(
        slug="news", name="Paper", item_kind="article", event_weights=EVENT_WEIGHTS["article"]
    )
    Item.objects.bulk_create(
        Item(
            catalog=paper,
            external_id=f"story-{number:02}",
            title=f"Headline {number:02}",
            body="One paragraph.\n\nAnother.",
            category=("Business", "Sport")[number % 2],
            published_at=now - timedelta(hours=number + 1),
        )
        for number in range(60)
    )


class Tab:
    """A browser's page, and what went wrong on it."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._console)

    def _console(self, message: object) -> None:
        if getattr(message, "type", "") in {"error", "warning"}:
            self.complaints.append(str(getattr(message, "text", message)))

    def open(self, path: str) -> Page:
        self.page.goto(self.address + path)
        return self.page


@pytest.fixture
def tab(live_server: object, chromium_path: str) -> Iterator[Tab]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(10_000)  # ms
        yield Tab(page, str(live_server))
        browser.close()


def rows(query: str) -> list[object]:
    """Look into the database from a thread of its own; Playwright's has an event loop."""
    from concurrent.futures import ThreadPoolExecutor

    from django.db import connection

    def look() -> list[object]:
        try:
            if query == "interactions":
                return list(Interaction.objects.order_by("id").values_list("type", flat=True))
            return list(SlateLog.objects.filter(surface="news-feed").values_list(
                "seen_positions", flat=True))  # fmt: skip
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(look).result()


def test_the_feed_goes_on_by_itself_for_three_pages(tab: Tab) -> None:
    page = tab.open("/news/feed/")
    for _ in range(2):
        page.locator(".feed-more").scroll_into_view_if_needed()
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(300)
    more = page.get_by_role("link", name="Load more")
    more.wait_for()
    assert page.locator(".feed-page").count() == 3
    more.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    assert page.locator(".feed-page").count() == 3, "the fourth page waits for a click"
    more.click()
    page.locator(".feed-page").nth(3).wait_for()
    titles = page.locator(".story-title").all_inner_texts()
    assert len(titles) == 40
    assert len(set(titles)) == 40
    assert tab.complaints == []


def test_less_like_this_vanishes_and_comes_back(tab: Tab) -> None:
    page = tab.open("/news/feed/")
    card = page.locator(".story").first
    card.get_by_role("button", name="Less like this").click()
    undo = card.get_by_role("button", name="Undo")
    undo.wait_for()
    assert page.locator(".story-title").count() == 9
    assert undo.evaluate("node => node === document.activeElement")
    assert rows("interactions") == ["hide"]
    undo.click()
    page.locator(".story-title").nth(9).wait_for()
    assert rows("interactions") == []
    card.get_by_role("button", name="Like: ").click()
    card.locator("[aria-pressed=true]").wait_for()
    assert rows("interactions") == ["like"]
    assert tab.complaints == []


def test_what_was_in_view_is_reported_and_reading_counts(tab: Tab) -> None:
    page = tab.open("/news/feed/")
    page.wait_for_timeout(3000)
    seen = rows("impressions")
    assert seen
    assert seen[0] == list(range(len(seen[0])))  # type: ignore[arg-type]
    assert 0 < len(seen[0]) < 10  # the rest is below the fold
    page.locator(".story-title a").first.click()
    page.locator(".article-title").wait_for()
    assert "?s=" not in page.url, "an address that is passed on is no click"
    page.wait_for_timeout(3300)
    page.goto("about:blank")
    page.wait_for_timeout(500)
    assert rows("interactions") == ["click", "read"]
    assert tab.complaints == []


def test_why_these_opens_the_drawer(tab: Tab) -> None:
    page = tab.open("/news/")
    page.get_by_role("link", name="Why these?").first.click()
    page.locator("#drawer[open]").get_by_role("heading", name="Why these?").wait_for()
    page.keyboard.press("Escape")
    assert page.locator("#drawer[open]").count() == 0
    assert tab.complaints == []


def test_the_api_page_runs_under_the_policy(tab: Tab) -> None:
    page = tab.open("/api/docs")
    page.get_by_text("/api/v1/recommendations").first.wait_for()
    assert tab.complaints == []
