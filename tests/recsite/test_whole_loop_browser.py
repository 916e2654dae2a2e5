"""The whole loop as people see it: read, the feed follows; retrain, promote, and the page changes.

A real site: its own database and broker, a web process, a worker, the packaged language model.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.recsite.real_site import PASSWORD, Site, real_site, wait_until
from tests.recsite.test_news_browser import ARGUMENTS

TRAINED_WITHIN = 900.0  # seconds, on a busy machine

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The news, loaded; one web process and one worker."""
    news = ("load_demo", "news", "--scale", "small")
    with real_site(tmp_path_factory.mktemp("site"), news) as running:
        yield running


@pytest.fixture
def page(site: Site, chromium_path: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.set_default_timeout(30_000)  # ms
        yield tab
        browser.close()


def sections_of_the_feed(page: Page, site: Site) -> list[str]:
    """The sections of the first ten stories of the feed."""
    page.goto(f"{site.address}/news/feed/")
    stories = page.locator("article.story")
    return [stories.nth(place).inner_text().split("\n")[0].strip() for place in range(10)]


def bundle_of_the_page(page: Page, site: Site) -> str:
    """The bundle that answered the front page just now, as its inspector tells; '' = none."""
    page.goto(f"{site.address}/news/")
    address = page.locator("a[data-drawer]").first.get_attribute("href")
    page.goto(site.address + str(address))
    told = page.locator("[data-bundle]")
    return told.inner_text() if told.count() else ""


def test_the_feed_follows_and_a_promoted_model_takes_over(site: Site, page: Page) -> None:
    wait_until(lambda: has_all_vectors(site.health("news")), TRAINED_WITHIN)
    before = sections_of_the_feed(page, site)
    page.goto(f"{site.address}/news/")
    page.get_by_role("link", name="Sport", exact=True).first.click()
    section = page.url
    for place in range(3):
        page.goto(section)
        page.locator("article h3 a, article h2 a").nth(place).click()
        page.wait_for_load_state()
    after = sections_of_the_feed(page, site)
    assert count_sport(after) > count_sport(before), (before, after)

    page.goto(f"{site.address}/account/login/?next=/dashboard/")
    page.get_by_label("Username").fill("boss")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    assert bundle_of_the_page(page, site) == ""
    page.goto(f"{site.address}/dashboard/")
    page.get_by_role("button", name="Train now").click()
    page.wait_for_url(re.compile(r"/dashboard/runs/[-0-9a-f]+/"))
    page.locator(".state-succeeded").first.wait_for(timeout=TRAINED_WITHIN * 1_000)
    trained = str(
        site.health("news")["bundle_id"]
    )  # the first model of a catalog goes live by itself
    wait_until(lambda: bundle_of_the_page(page, site) == trained, 10)

    page.goto(f"{site.address}/dashboard/models/news/roll-back/")
    page.get_by_label("Reason").fill("Look at the site without a model.")
    page.get_by_role("button", name="Roll back").click()
    wait_until(lambda: bundle_of_the_page(page, site) == "", 10)
    page.goto(f"{site.address}/dashboard/models/news/{trained}/promote/")
    page.get_by_label("Reason").fill("It reads the readers.")
    page.get_by_role("button", name="Promote").click()
    wait_until(lambda: bundle_of_the_page(page, site) == trained, 10)


def count_sport(sections: list[str]) -> int:
    return sum(name.casefold() == "sport" for name in sections)


def has_all_vectors(news: dict[str, Any]) -> bool:
    return bool(news["vectors"] == news["items"])
