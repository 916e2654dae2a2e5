"""The pages of runs in a real browser: live curves, and that the policy lets them be drawn."""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.conf import settings
from django.db import connection
from django.test import Client
from django.utils import timezone
from playwright.sync_api import sync_playwright

from catalog.models import Catalog, Role, User
from recsite import health
from tests.recsite.dashboard.pages import READY
from tests.recsite.test_news_browser import ARGUMENTS, Tab
from training.cost import ITEMS
from training.models import RunLogLine, RunMetric, TrainingRun

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health.backstage, "parts", lambda: READY)
    monkeypatch.setattr(current_app, "send_task", lambda *args, **options: None)


def trained(state: str, steps: int, lift: float = 0.0, **more: Any) -> TrainingRun:
    """A training of the shop with curves and a log."""
    shop, _ = Catalog.objects.get_or_create(slug="shop", name="Larder", item_kind="product")
    now = timezone.now()
    run = TrainingRun.objects.create(
        catalog=shop,
        kind="train",
        state=state,
        stage=f"tower, epoch {steps}",
        progress=0.4,
        started_at=now - timedelta(minutes=4),
        ended_at=None if state == "running" else now,
        lease_expires_at=now + timedelta(hours=1),
        environment={"python": "3.11.7", "torch": "2.13.0", ITEMS: "12000"},
        **more,
    )
    add_points(run, range(1, steps + 1), lift)
    RunLogLine.objects.bulk_create(
        RunLogLine(run=run, text=f"Epoch {step}: loss …") for step in range(steps)
    )
    return run


def add_points(run: TrainingRun, steps: range, lift: float = 0.0) -> None:
    RunMetric.objects.bulk_create(
        RunMetric(run=run, name=name, step=step, value=value)
        for step in steps
        for name, value in (
            ("tower/train_loss", 2 + 4 * math.exp(-step / 9) - lift),
            ("tower/valid_ndcg", 0.2 - 0.18 * math.exp(-step / 12) + lift / 9),
        )
    )


def aside(work: Callable[[], object]) -> None:
    """Write to the database from a thread of its own; Playwright's has an event loop."""

    def whole() -> None:
        try:
            work()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(whole).result()


@pytest.fixture
def run() -> TrainingRun:
    return trained("running", 12)


@pytest.fixture
def tab(run: TrainingRun, live_server: Any, chromium_path: str) -> Iterator[Tab]:
    """Logged in as staff."""
    client = Client()
    client.force_login(User.objects.create_user("admin", is_staff=True, role=Role.ADMIN))
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        name = settings.SESSION_COOKIE_NAME
        context.add_cookies([{"name": name, "value": cookie, "url": str(live_server)}])
        page = context.new_page()
        page.set_default_timeout(20_000)  # ms
        yield Tab(page, str(live_server))
        browser.close()


def test_curves_are_drawn_live_and_within_the_policy(tab: Tab, run: TrainingRun) -> None:
    page = tab.open(f"/dashboard/runs/{run.pk}/")
    canvases = page.locator("figure.chart canvas")
    canvases.first.wait_for()
    assert canvases.count() == 2
    assert not page.locator("figure.chart > svg[role=img]").first.is_visible()
    page.evaluate("document.querySelector('figure canvas').dataset.mark = 'the first'")
    aside(lambda: add_points(run, range(13, 20)))
    page.locator("figure.chart tbody tr").nth(18).wait_for(state="attached")
    assert canvases.first.get_attribute("data-mark") == "the first"  # it went on, was not redrawn
    assert canvases.count() == 2
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        "() => !document.querySelector('[data-mark]')"
    )  # drawn anew in its colours
    page.locator("#pause-run").click()
    page.locator(".state-pausing").wait_for()
    assert tab.complaints == []


def test_ticks_outlive_the_poll_and_lead_to_the_comparison(tab: Tab, run: TrainingRun) -> None:
    aside(lambda: trained("succeeded", 30, 0.4, parameters={"epochs": 30}))
    page = tab.open("/dashboard/runs/")
    boxes = page.locator("input[name=run]")
    for place in range(2):
        boxes.nth(place).check()
    with page.expect_response(lambda answer: "page=1" in answer.url and answer.status == 200):
        pass  # the list was asked for again
    page.wait_for_timeout(300)  # ms, until it is swapped in
    assert page.locator("input[name=run]:checked").count() == 2
    page.get_by_role("button", name="Compare").click()
    page.locator("figure.chart canvas").first.wait_for()
    page.get_by_role("link", name="Differences only").click()
    page.get_by_role("link", name="Show all rows").wait_for()
    assert "only=differences" in page.url
    assert tab.complaints == []


def test_the_cost_follows_what_is_typed(tab: Tab) -> None:
    page = tab.open("/dashboard/runs/new/?catalog=shop&kind=pretrain")
    before = page.locator("#run-cost").inner_text()
    page.get_by_label("Steps", exact=True).fill("20000")
    page.wait_for_function(
        "before => document.querySelector('#run-cost').innerText !== before", arg=before
    )
    assert "--param steps=20000" in page.locator("#run-cost").inner_text()
    assert not page.get_by_role("button", name="Estimate again").is_visible()
    page.get_by_label("Steps", exact=True).fill("none")
    page.get_by_role("button", name="Start").click()
    page.get_by_text("Steps: a number, not 'none'.").wait_for()
    assert page.get_by_label("Steps", exact=True).input_value() == "none"
    assert [text for text in tab.complaints if "422" not in text] == []


def test_a_cancel_asks_and_its_button_says_that_it_is_sent(tab: Tab, run: TrainingRun) -> None:
    page = tab.open(f"/dashboard/runs/{run.pk}/")
    page.locator("#ask-cancel-run").click()
    with page.expect_response(lambda answer: "/live/" in answer.url and answer.status == 200):
        aside(lambda: add_points(run, range(13, 15)))
    page.wait_for_timeout(300)  # ms, until it is swapped in
    assert page.locator("#cancel-run").is_visible()  # the question outlives the poll
    said = page.evaluate(
        """() => {
            const button = document.getElementById("cancel-run");
            button.click();
            const spinner = button.querySelector("[data-sending]");
            return [button.form.getAttribute("aria-busy"), spinner !== null];
        }"""
    )
    assert said == ["true", True]  # at once, before any answer
    page.locator("#ask-cancel-run").wait_for(state="detached")
    assert tab.complaints == []
