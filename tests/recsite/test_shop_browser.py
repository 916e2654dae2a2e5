"""The shop in a real browser: what scripts add, what works without them, under the real policy."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest
from django.db import connection
from playwright.sync_api import Page, expect, sync_playwright

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
Found = TypeVar("Found")


@pytest.fixture(autouse=True)
def items(monkeypatch: pytest.MonkeyPatch) -> list[Item]:
    """Sixty products, and a ranking in the order of their ids."""
    install(monkeypatch)
    shop = Catalog.objects.create(
        slug="shop", name="Larder", item_kind="product", event_weights=EVENT_WEIGHTS["product"]
    )
    return Item.objects.bulk_create(
        Item(
            catalog=shop,
            external_id=f"item-{number:02}",
            title=f"Product {number:02}",
            category=("Dairy > Cheese", "Dairy > Milk")[number % 2],
            price=2,
            attributes={"brand": ("Store brand", "National brand")[number % 2]},
        )
        for number in range(60)
    )


@pytest.fixture
def pages(live_server: object, chromium_path: str) -> Iterator[Callable[..., Page]]:
    """Opens browser pages; at the end none of them may have complained."""
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)

        def open_page(path: str, **options: object) -> Page:
            base = {"viewport": {"width": 1280, "height": 800}, "base_url": str(live_server)}
            page = browser.new_context(**{**base, **options}).new_page()  # type: ignore[arg-type]
            page.set_default_timeout(10_000)  # ms
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on(
                "console",
                lambda message: (
                    complaints.append(message.text)
                    if message.type in {"error", "warning"}
                    else None
                ),
            )
            page.goto(path)
            return page

        yield open_page
        browser.close()
    assert complaints == []


def look(question: Callable[[], Found]) -> Found:
    """Ask the database from a thread of its own; Playwright's has an event loop."""

    def ask() -> Found:
        try:
            return question()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(ask).result()


def eventually(page: Page, question: Callable[[], Found], expected: Found) -> None:
    """Ask until the answer is the expected one, ten seconds at most."""
    for _ in range(50):
        if look(question) == expected:
            return
        page.wait_for_timeout(200)
    assert look(question) == expected


def test_impressions_are_what_was_in_view_for_half_a_second(
    pages: Callable[..., Page],
) -> None:
    page = pages("/shop/")
    assert page.locator("#shelf-for-you [data-position]").count() == 12

    def seen() -> list[int]:
        return sorted(SlateLog.objects.get(surface="shop-home").seen_positions)

    eventually(page, seen, [0, 1, 2, 3, 4, 5])  # six stand side by side, six wait to the right
    page.locator("#shelf-for-you [data-position='11']").scroll_into_view_if_needed()
    eventually(page, seen, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])


def test_a_click_counts_once_and_leaves_a_clean_address(pages: Callable[..., Page]) -> None:
    page = pages("/shop/")
    page.locator("#shelf-for-you").get_by_role("link", name="Product 02").click()
    page.wait_for_url(re.compile(r"/shop/products/\d+/$"))
    page.reload()
    clicks = look(lambda: list(Interaction.objects.values_list("type", "position")))
    assert clicks[0] == ("click", 2)
    eventually(
        page,
        lambda: list(Interaction.objects.order_by("id").values_list("type", flat=True)),
        ["click", "view"],  # the reload is a look without a click
    )


def test_adding_announces_itself_and_the_shelf_moves_on(pages: Callable[..., Page]) -> None:
    page = pages("/shop/")
    shelf = page.locator("#shelf-for-you")
    before = shelf.get_attribute("data-slate-id")
    page.evaluate("window.stayed = true")
    shelf.get_by_role("button", name="Add Product 01 to the cart").click()
    expect(page.get_by_role("status")).to_contain_text("Product 01 is in your cart")
    expect(page.locator("#cart-button .cart-count")).to_contain_text("1")
    expect(shelf).not_to_have_attribute("data-slate-id", before or "")
    assert page.evaluate("window.stayed"), "the page was not loaded anew"
    assert page.evaluate("document.activeElement !== document.body"), "the focus was kept"
    added = look(lambda: Interaction.objects.get(type="add"))
    assert (str(added.slate_id), added.position) == (before, 1)


def test_the_drawer_opens_tells_and_gives_the_focus_back(pages: Callable[..., Page]) -> None:
    page = pages("/shop/")
    link = page.locator("#shelf-for-you").get_by_role("link", name="Why these?")
    link.click()
    drawer = page.get_by_role("dialog", name="Why these?")
    expect(drawer).to_contain_text("Product 00")
    expect(drawer).to_contain_text("none promoted yet")
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(link).to_be_focused()


def test_the_search_box_is_worked_by_keys(pages: Callable[..., Page]) -> None:
    page = pages("/shop/")
    box = page.get_by_role("combobox", name="Search the shop")
    box.press_sequentially("product 0", delay=20)
    options = page.get_by_role("option")
    expect(options).to_have_count(6)
    expect(box).to_have_attribute("aria-expanded", "true")
    box.press("ArrowDown")
    box.press("ArrowDown")
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    box.press("Escape")
    expect(page.get_by_role("listbox")).to_be_hidden()
    box.press("Enter")  # nothing is chosen: an ordinary search
    page.wait_for_url("**/shop/search/?q=product+0")
    box.fill("")
    box.press_sequentially("chees", delay=20)
    expect(options).to_have_count(1)
    box.press("ArrowDown")
    box.press("Enter")
    page.wait_for_url("**/shop/aisles/dairy/cheese/")


def test_a_facet_is_sent_at_once_and_going_back_takes_it_away(pages: Callable[..., Page]) -> None:
    page = pages("/shop/aisles/dairy/")
    page.get_by_label("Store brand").check()
    page.wait_for_url(re.compile(r"brand=Store"))
    expect(page.get_by_label("Store brand")).to_be_checked()
    expect(page.get_by_text("30 products match")).to_be_visible()
    page.go_back()
    expect(page.get_by_text("60 products", exact=True).first).to_be_visible()


def test_the_theme_is_kept(pages: Callable[..., Page]) -> None:
    page = pages("/shop/", color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.locator("summary[aria-label=Theme]").click()
    page.get_by_role("button", name="Dark").click()
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    assert page.evaluate(ground) == dark
    page.locator("summary[aria-label=Theme]").click()
    page.get_by_role("button", name="As the system").click()
    assert page.evaluate(ground) == light
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(ground) == dark


def test_buying_works_without_scripts(pages: Callable[..., Page]) -> None:
    page = pages("/shop/", java_script_enabled=False)
    page.locator("#shelf-for-you").get_by_role("link", name="Product 03").click()
    page.get_by_role("button", name="Add to cart").click()
    expect(page.get_by_role("status")).to_contain_text("Product 03 is in your cart")
    page.get_by_label("Quantity of Product 03").fill("4")
    page.get_by_role("button", name="Update").click()
    expect(page.get_by_text("$8.00").first).to_be_visible()
    page.get_by_role("button", name="Check out").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Bought")
    page.goto("/shop/")
    page.locator("#shelf-because").get_by_role("link", name="Why these?").click()
    expect(page.get_by_role("heading", name="Why these?")).to_be_visible()
    page.goto("/shop/aisles/dairy/")
    page.get_by_label("Store brand").check()
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("30 products match")).to_be_visible()
    done = look(lambda: list(Interaction.objects.order_by("id").values_list("type", "value")))
    assert done == [("click", None), ("add", 1.0), ("purchase", 4.0)]


@pytest.mark.parametrize("path", ["/shop/", "/shop/aisles/dairy/", "/shop/cart/", "/shop/people/"])
def test_nothing_sticks_out_at_320_pixels(pages: Callable[..., Page], path: str) -> None:
    page = pages(path, viewport={"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
