"""A new month must not run into a deadlock with whoever writes items at the same time."""

import threading
from datetime import UTC, datetime

import pytest
from django.db import connection, transaction

from catalog.events import ensure_months
from catalog.models import Catalog, Item

MONTH = datetime(1999, 5, 1, tzinfo=UTC)


@pytest.mark.django_db(transaction=True)
def test_a_new_month_waits_for_a_writer_without_a_deadlock() -> None:
    catalog = Catalog.objects.create(slug="shop", name="Larder", item_kind="product")
    done: list[bool] = []

    def add_month() -> None:
        ensure_months([MONTH])
        done.append(True)
        connection.close()

    month = threading.Thread(target=add_month)
    with transaction.atomic():
        Item.objects.create(catalog=catalog, external_id="1", title="Milk")
        month.start()
        month.join(1.5)  # by now PostgreSQL would have looked for a deadlock
        catalog.touch_items()
        assert not done
    month.join(20)
    assert done
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('catalog_interaction_1999_05') IS NOT NULL")
        assert cursor.fetchone() == (True,)
        cursor.execute("DROP TABLE catalog_interaction_1999_05")
