"""A day of an operator: import, train, cancel, retry, compare, promote, roll back, and the trace.

A real site: its own database and broker, a web process, a worker, the packaged language model.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.recsite.dashboard.story_files import write_interactions, write_items
from tests.recsite.real_site import PASSWORD, Site, real_site, wait_until
from tests.recsite.test_news_browser import ARGUMENTS

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TRAINED_WITHIN = 300.0  # seconds, on a busy machine
CANCELLED_WITHIN = 30.0  # seconds; a process that does not react is killed after ten
QUICK = {"Trees": "40", "Epochs of the tower": "20", "Epochs of the networks": "5"}
LATER = {"Epochs of the tower": "8", "Epochs of the networks": "0"}
MAKE_PEOPLE = """
from catalog.models import User
for name in ("olga", "victor"):
    User.objects.create_user(name, password="{password}")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A shop without items; an operator, Olga, and a viewer, Victor."""
    prepared_by = (
        ("create_catalog", "shop", "--kind", "product", "--name", "Larder", "--repeat-consumption"),
        ("shell", "--no-imports", "-c", MAKE_PEOPLE.format(password=PASSWORD)),
        ("set_role", "olga", "operator"),
        ("set_role", "victor", "viewer"),
        # an idle machine and a busy one time a request of a millisecond very differently
        ("gate", "shop", "--set", "latency_ratio=20"),
    )
    with real_site(tmp_path_factory.mktemp("story"), *prepared_by) as running:
        yield running


@pytest.fixture
def browser(chromium_path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)


@dataclass
class Person:
    """Somebody who is logged in, in a browser of their own."""

    page: Page
    site: Site
    shop: str = "/dashboard/models/shop/"

    def open(self, path: str) -> int:
        """Go to a page; its status."""
        answer = self.page.goto(self.site.address + path)
        assert answer is not None
        return answer.status

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).first.click()

    def text(self) -> str:
        return self.page.locator("main").inner_text()

    def run(self) -> str:
        """The address of the run whose page is open."""
        self.page.wait_for_url(re.compile(r"/dashboard/runs/[-0-9a-f]{36}/$"))
        return self.page.url.removeprefix(self.site.address)

    def ends(self, state: str, within: float = TRAINED_WITHIN) -> None:
        """Wait until the run whose page is open is over."""
        over = self.page.locator("#live-run .state-succeeded, #live-run .state-failed")
        over = over.or_(self.page.locator("#live-run .state-cancelled")).first
        over.wait_for(timeout=within * 1_000)
        assert self.page.locator(f"#live-run .state-{state}").count(), self.text()


def log_in(browser: Browser, site: Site, name: str) -> Person:
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.set_default_timeout(60_000)  # ms, on a busy machine
    page.goto(f"{site.address}/account/login/?next=/dashboard/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(re.compile("/dashboard/$"))
    return Person(page, site)


def test_the_day_of_an_operator(site: Site, browser: Browser, tmp_path: Path) -> None:
    olga = log_in(browser, site, "olga")
    import_the_items(olga, tmp_path)
    import_what_people_did(olga, tmp_path)
    cancelled, first = train_cancel_and_retry(olga)
    compare(olga, cancelled, first)
    live = live_model(olga)
    assert bundle_of_the_shop(olga) == live  # the first model of a catalog goes live by itself
    blocked = trained_with(olga, first, {**LATER, "Trees": "1"})
    the_gate_blocks(olga, blocked)
    assert bundle_of_the_shop(olga) == live
    other = trained_with(olga, first, {**LATER, "Trees": "60", "Seed": "2"})
    lists = for_you(olga)
    promote(olga, other)
    wait_until(lambda: bundle_of_the_shop(olga) == other, 10)
    assert for_you(olga) != lists
    roll_back(olga)
    wait_until(lambda: bundle_of_the_shop(olga) == live, 10)
    assert for_you(olga) == lists
    all_of_it_is_in_the_audit_log(olga, cancelled, first, live, other)
    a_viewer_may_only_look(log_in(browser, site, "victor"), first, other)


def upload(olga: Person, path: Path, kind: str, mapping: dict[str, str]) -> None:
    """Send a file, and say what its columns are."""
    page = olga.page
    olga.open("/dashboard/data/shop/imports/")
    page.get_by_label("What it holds").select_option(kind)
    page.get_by_label("A file of yours").set_input_files(path)
    olga.press("Look at the file")
    for column, field in mapping.items():
        page.get_by_label(f"What {column} becomes", exact=True).select_option(field)


def import_the_items(olga: Person, folder: Path) -> None:
    upload(olga, write_items(folder), "items", {"section": "category"})
    row = olga.page.get_by_role("row").filter(has_text="Milk number 00")
    assert olga.page.get_by_label("What name becomes").input_value() == "title"  # as guessed
    assert "Milk number 01" in row.inner_text()  # the first rows
    olga.press("Import")
    olga.run()
    olga.ends("succeeded")
    assert "32 rows, 32 new, 0 changed, 0 bad" in olga.text()


def import_what_people_did(olga: Person, folder: Path) -> None:
    """The three bad rows are listed with their lines, before and after the import."""
    path, bad = write_interactions(folder)
    mapping = {"shopper": "user_id", "when": "timestamp", "did": "type"}
    upload(olga, path, "interactions", mapping)
    olga.press("Try it, write nothing")
    rows = olga.page.get_by_role("group", name="Bad rows").locator("tbody tr")
    assert [int(row.split()[0]) for row in rows.all_inner_texts()] == bad
    for place, reason in enumerate(("timestamp", "item_id", "type")):
        assert reason in rows.nth(place).inner_text()
    olga.press("Import")
    olga.run()
    olga.ends("succeeded")
    assert "2,163 rows, 2,160 new, 0 changed, 3 bad" in olga.text()
    log = olga.page.locator("#run-log").inner_text()
    assert all(f"line {line}: " in log for line in bad)
    with olga.page.expect_download() as sent:
        olga.page.get_by_role("link", name="Bad rows as CSV").click()
    assert len(Path(sent.value.path()).read_text().splitlines()) == 1 + len(bad)


def fill(olga: Person, values: dict[str, str]) -> None:
    for label, value in values.items():
        olga.page.get_by_label(label, exact=True).fill(value)


def train_cancel_and_retry(olga: Person) -> tuple[str, str]:
    """The addresses of the run that was cancelled and of the one that was made of it."""
    page = olga.page
    olga.open("/dashboard/runs/new/?catalog=shop&kind=train")
    fill(olga, {**QUICK, "Epochs of the personal model": "0"})
    olga.press("Start")
    cancelled = olga.run()
    points = page.locator("figure.chart tbody tr")
    points.first.wait_for(state="attached", timeout=TRAINED_WITHIN * 1_000)
    page.locator("figure.chart canvas").first.wait_for()
    before = points.count()
    points.nth(before).wait_for(state="attached")  # one more than there were: the curve has moved
    page.locator("#ask-cancel-run").click()
    page.locator("#cancel-run").click()
    olga.ends("cancelled", CANCELLED_WITHIN)
    page.locator("#retry-run").click()
    page.wait_for_url(lambda url: not url.endswith(cancelled))
    retried = olga.run()
    olga.ends("succeeded")
    return cancelled, retried


def compare(olga: Person, *runs: str) -> None:
    """Tick both in the list, look at what differs."""
    page = olga.page
    olga.open("/dashboard/runs/?kind=train")
    for address in runs:
        page.locator(f"#choose-{address.split('/')[-2]}").check()
    olga.press("Compare")
    page.get_by_role("link", name="Differences only").click()
    page.get_by_role("link", name="Show all rows").wait_for()
    state = page.get_by_role("rowheader", name="State", exact=True).locator("..")
    assert {"cancelled", "succeeded"} <= set(state.inner_text().lower().split())
    assert page.locator("figure.chart canvas").count()


def live_model(olga: Person) -> str:
    olga.open(olga.shop)
    return olga.page.locator("[data-live-bundle]").inner_text()


def trained_with(olga: Person, earlier: str, changes: dict[str, str]) -> str:
    """Retry a run with these changes; the model that came of it."""
    olga.open(earlier)
    olga.page.locator("#change-run").click()
    fill(olga, changes)
    olga.press("Start")
    olga.run()
    olga.ends("succeeded")
    with olga.page.expect_navigation():
        olga.page.get_by_role("link", name="See the model").click()
    return olga.page.url.rstrip("/").split("/")[-2]


def the_gate_blocks(olga: Person, model: str) -> None:
    """One tree orders worse than forty; an operator cannot overrule that."""
    page = olga.page
    olga.open(f"{olga.shop}{model}/promote/")
    quality = page.locator(".gate-list li").filter(has_text="quality: red")
    reason = r"On the same requests its ndcg@10 differs from the live one's by -0\.\d+"
    assert re.search(reason, quality.inner_text())
    assert page.get_by_text("only an admin may promote it in spite of that").is_visible()
    assert page.get_by_label("Promote although").count() == 0
    page.get_by_label("Reason").fill("I like it.")
    olga.press("Promote")
    fault = page.get_by_role("alert").inner_text()
    assert fault.startswith("The gate is red: ")
    assert re.search(reason, fault)


def promote(olga: Person, model: str) -> None:
    olga.open(f"{olga.shop}{model}/promote/")
    assert olga.page.locator(".gate-list .check-red").count() == 0, olga.text()
    olga.page.get_by_label("Reason").fill("It orders better.")
    olga.press("Promote")
    olga.page.get_by_text(f"{model} is live.").wait_for()


def roll_back(olga: Person) -> None:
    olga.open(f"{olga.shop}roll-back/")
    olga.page.get_by_label("Reason").fill("The one before, please.")
    olga.press("Roll back")
    olga.page.wait_for_url(f"**{olga.shop}")


def bundle_of_the_shop(olga: Person) -> str:
    """The bundle that answered the shop's front page just now, as its inspector tells."""
    olga.open("/shop/")
    olga.open(str(olga.page.locator("a[data-drawer]").first.get_attribute("href")))
    told = olga.page.locator("[data-bundle]")
    return told.inner_text() if told.count() else ""


def for_you(olga: Person) -> list[str]:
    """The titles on the shelves of the shop's front page, in their order."""
    olga.open("/shop/")
    return olga.page.locator(".shelf h3.title").all_inner_texts()


def all_of_it_is_in_the_audit_log(
    olga: Person, cancelled: str, retried: str, live: str, other: str
) -> None:
    olga.open("/dashboard/audit/?who=olga")
    rows: list[str] = olga.page.locator(".audit-table tbody tr").all_inner_texts()
    said = [" ".join(row.split()).lower() for row in rows]

    def tells(*parts: str) -> bool:
        return any(all(part.lower() in row for part in parts) for row in said)

    assert tells("Run created", "import"), said
    assert tells("Run created", "train"), said
    assert tells("Run changed", "Cancel requested"), said
    assert tells("Import created"), said
    assert tells("Promotion created", "It orders better.", other), said
    assert tells("Promotion created", "The one before, please.", live), said
    assert tells("Catalog changed", "Live bundle", live, other), said
    links = olga.page.locator(".audit-table a")
    addresses = {link.get_attribute("href") for link in links.all()}
    assert {cancelled, retried} <= addresses
    olga.open("/dashboard/audit/?kind=catalog")
    assert "latency ratio" in olga.text().lower()  # what the admin did stands there, too


def a_viewer_may_only_look(victor: Person, run: str, model: str) -> None:
    """403 where it takes an operator, on pages and on forms that somebody sends all the same."""
    page = victor.page
    for path in ("/dashboard/", run, f"{victor.shop}{model}/promote/", "/dashboard/audit/"):
        assert victor.open(path) == 200
        assert page.get_by_role("button", name="Promote", exact=True).count() == 0
    assert page.locator("#retry-run").count() == 0
    assert victor.open("/dashboard/runs/new/") == 403
    assert "This needs the role operator" in victor.text()
    assert "boss" in victor.text()  # who can give it
    victor.open("/dashboard/data/shop/imports/")
    assert page.get_by_label("A file of yours").count() == 0
    forms: dict[str, dict[str, Any]] = {
        f"{victor.shop}{model}/promote/": {"reason": "Mine."},
        f"{victor.shop}roll-back/": {"reason": "Mine.", "live": model},
        f"{run}cancel/": {},
        f"{run}retry/": {},
        "/dashboard/catalogs/shop/train/": {},
        "/dashboard/data/shop/imports/": {"kind": "items", "path": "items.csv"},
    }
    token = page.locator("input[name=csrfmiddlewaretoken]").first.input_value()
    for path, told in forms.items():
        form = {"csrfmiddlewaretoken": token, **told}
        headers = {"Referer": victor.site.address}
        sent = page.request.post(victor.site.address + path, form=form, headers=headers)
        assert sent.status == 403, path
        assert "This needs the role operator" in sent.text()
