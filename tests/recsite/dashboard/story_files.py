"""The files of a tiny shop: what it sells, and what people did, with three rows that are bad."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

AISLES = ("Dairy > Milk", "Dairy > Cheese", "Bakery > Bread", "Bakery > Cake")
AN_AISLE = 8  # items
PEOPLE, VISITS, PICKS = 60, 12, 3  # of each person, of each visit
LOYAL = 0.85  # share of visits that go to a person's own aisle
IN_ORDER = 0.8  # share of picks that are the next item of the aisle
BAD = {
    400: ("sku-00", "whenever", "view"),
    900: ("sku-99", "", "view"),
    1500: ("sku-00", "", "ate"),
}


def write_items(folder: Path) -> Path:
    """Thirty-two items."""
    head = ["sku", "name", "section", "price", "shelf_life"]
    rows = [
        [f"sku-{n:02}", f"{AISLES[n // AN_AISLE].split()[-1]} number {n:02}", AISLES[n // AN_AISLE],
         f"{1 + n / 10:.2f}", f"{n % 7 + 1} days"]
        for n in range(AN_AISLE * len(AISLES))
    ]  # fmt: skip
    return _written(folder / "items.csv", head, rows)


def write_interactions(folder: Path) -> tuple[Path, list[int]]:
    """Four months of visits; also the lines of the bad rows.

    Somebody goes to an aisle and picks its items one after the other, so there is much to learn.
    """
    draw = Random(5)
    end = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
    rows = []
    for person in range(PEOPLE):
        own, place = person % len(AISLES), draw.randrange(AN_AISLE)
        for visit in range(VISITS):
            moment = end - timedelta(days=120 * (visit + draw.random()) / VISITS)
            aisle = own if draw.random() < LOYAL else draw.randrange(len(AISLES))
            for pick in range(PICKS):
                ahead = 1 if draw.random() < IN_ORDER else draw.randrange(AN_AISLE)
                place = (place + ahead) % AN_AISLE
                when = (moment + timedelta(minutes=pick)).isoformat()
                did = "purchase" if pick == PICKS - 1 else "view"
                rows.append([f"person-{person}", f"sku-{aisle * AN_AISLE + place:02}", when, did])
    for line, (item, when, did) in sorted(BAD.items()):  # the head is line 1
        rows.insert(line - 2, ["person-0", item, when or end.isoformat(), did])
    return _written(folder / "visits.csv", ["shopper", "sku", "when", "did"], rows), sorted(BAD)


def _written(path: Path, head: list[str], rows: list[list[str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    return path
