"""What the pages of the dashboard take, and that a long history asks no more queries."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from catalog.models import Catalog, Import, User
from recsite.dashboard import page_times
from recsite.dashboard.workers import Backstage
from recsite.health import Part
from training import history

MOST_QUERIES = 40  # of any page


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recsite.dashboard.workers.watch.now", lambda: Backstage(Part(True)))
    monkeypatch.setattr(history, "PEOPLE", 20)
    monkeypatch.setattr(history, "ITEMS", 20)


def queries(shop: Catalog) -> dict[str, int]:
    """By page, without the names that differ from one run or model to the next."""
    found = list(page_times.measure(shop, 2))
    assert [page.address for page in found if page.status != 200] == []
    return {address_of(page.address): page.queries for page in found}


def address_of(path: str) -> str:
    return "/".join(part for part in path.split("/") if "made-up" not in part and len(part) != 36)


def test_no_page_asks_more_for_a_longer_history(
    shop: Catalog, admin: User, tmp_path: Path, settings: Any
) -> None:
    history.generate(shop, 8, 4, 200, lambda text: None)
    (tmp_path / "items.csv").write_text("item_id,title\n1,One\n")
    settings.IMPORT_DIR = tmp_path
    made = Import.objects.create(catalog=shop, made_at=timezone.now())
    few = queries(shop)
    history.generate(shop, 60, 30, 2_000, lambda text: None)
    many = queries(shop)
    assert len(few) >= 15
    data = f"/dashboard/data/{shop.slug}/"
    dear = {
        *(f"{data}findings/", f"{data}?now=1", f"{data}imports/{made.pk}/undo/"),
        *("/dashboard/services/now/", f"/dashboard/models/{shop.slug}/gate/"),
        f"{data}imports/file/?source=folder%2Fitems.csv&kind=items",
    }
    assert dear <= few.keys()
    assert {page: count for page, count in many.items() if count > few[page] + 1} == {}
    assert max(many.values()) <= MOST_QUERIES


def test_the_command(shop: Catalog, admin: User, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("bench_pages", "shop", times=1)
    lines = capsys.readouterr().out.splitlines()
    assert "p95" in lines[0]
    assert any(line.endswith("  /dashboard/runs/") for line in lines)
    with pytest.raises(CommandError, match="There is no catalog 'nix'"):
        call_command("bench_pages", "nix")
    with pytest.raises(CommandError, match="from 1 to 1000"):
        call_command("bench_pages", "shop", times=0)


def test_without_an_admin_it_says_how_to_make_one(shop: Catalog) -> None:
    with pytest.raises(CommandError, match="set_role NAME admin"):
        call_command("bench_pages", "shop")
