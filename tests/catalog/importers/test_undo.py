"""Undo of an import: what goes, what comes back, what stays because life went on."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from catalog.errors import CatalogError
from catalog.events import Event, log_interactions
from catalog.importers.files import Origin, Outcome, import_by_kind
from catalog.importers.undo import forget_old, undo
from catalog.models import (
    AuditEntry,
    Catalog,
    EncoderVersion,
    Import,
    ImportedRow,
    Interaction,
    Item,
    ItemVector,
    Offer,
    User,
)
from tests.catalog.importers.files import write

pytestmark = pytest.mark.django_db


def first(catalog: Catalog, folder: Path) -> Outcome:
    """Two items, an offer, one person with attributes and one without, three interactions."""
    return import_by_kind(
        catalog,
        {
            "items": write(folder, "items.csv", "item_id,title,price\na,Tea,2\nb,Milk,1\n"),
            "offers": write(
                folder, "o.csv", "item_id,kind,starts_at,ends_at\na,mailer,2024-05-01,2024-05-08\n"
            ),
            "users": write(folder, "u.csv", "user_id,town\nann,Ulm\n"),
            "interactions": write(
                folder,
                "i.csv",
                "user_id,item_id,timestamp,type\nann,a,2024-05-01,click\nbob,b,2024-05-02,click\n"
                "bob,b,2024-06-02,click\n",
            ),
        },
        origin=Origin(who="ada"),
    )


def number(outcome: Outcome) -> int:
    assert outcome.number is not None
    return outcome.number


def test_all_of_it_goes(catalog: Catalog, folder: Path) -> None:
    outcome = first(catalog, folder)
    made = Import.objects.get(pk=number(outcome))
    assert (made.who, made.name) == ("ada", "items.csv, o.csv, u.csv, i.csv")
    assert [(file["kind"], file["added"]) for file in made.files] == [
        ("items", 2),
        ("offers", 1),
        ("users", 1),
        ("interactions", 3),
    ]
    encoder = EncoderVersion.objects.create(name="e", digest="d", dimensions=2)
    tea = Item.objects.get(external_id="a")
    ItemVector.objects.create(item=tea, encoder=encoder, text_digest="x", vector=[0, 1])
    before = Catalog.objects.get().items_version
    undone = undo(number(outcome), "eve")
    assert undone.undone == {
        "interactions": {"removed": 3, "restored": 0, "kept": 0},
        "items": {"removed": 2, "restored": 0, "kept": 0},
        "offers": {"removed": 1, "restored": 0, "kept": 0},
        "users": {"removed": 2, "restored": 0, "kept": 0},
    }
    for model in (Item, Offer, User, Interaction, ItemVector, ImportedRow):
        assert not model._default_manager.exists(), model
    assert Catalog.objects.get().items_version > before
    entries = AuditEntry.objects.filter(kind="import").order_by("pk")
    assert [entry.action for entry in entries] == ["created", "changed"]
    with pytest.raises(CatalogError, match="undone already"):
        undo(number(outcome), "eve")


def test_former_values_come_back(catalog: Catalog, folder: Path) -> None:
    first(catalog, folder)
    second = import_by_kind(
        catalog,
        {
            "items": write(
                folder, "2.csv", "item_id,title,price,note\na,Green tea,3,x\nc,Egg,1,\n"
            ),
            "offers": write(
                folder, "o.csv", "item_id,kind,starts_at,ends_at\na,mailer,2024-05-01,2024-06-01\n"
            ),
            "users": write(folder, "u.csv", "user_id,town\nann,Bonn\n"),
        },
    )
    Item.objects.filter(external_id="b").update(body="said by hand")
    told = undo(number(second), "eve").undone
    assert told["items"] == {"removed": 1, "restored": 1, "kept": 0}
    tea = Item.objects.get(external_id="a")
    assert (tea.title, str(tea.price), tea.attributes) == ("Tea", "2.00", {})
    assert set(Item.objects.values_list("external_id", flat=True)) == {"a", "b"}
    assert Offer.objects.get().ends_at.day == 8
    assert User.objects.get(external_id="ann").attributes == {"town": "Ulm"}


def test_what_moved_on_stays(catalog: Catalog, folder: Path) -> None:
    outcome = first(catalog, folder)
    tea, milk = Item.objects.order_by("external_id")
    bob = User.objects.get(external_id="bob")
    log_interactions(catalog, [Event(bob.pk, milk.pk, "click")])
    tea.title = "Better tea"
    tea.save()
    User.objects.filter(external_id="ann").update(attributes={"town": "Bonn"})
    told = undo(number(outcome), "eve").undone
    assert told["interactions"]["removed"] == 3
    assert told["items"] == {"removed": 0, "restored": 0, "kept": 2}
    assert told["users"] == {"removed": 0, "restored": 0, "kept": 2}
    assert Interaction.objects.count() == 1


def test_the_commands(catalog: Catalog, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(folder, "items.csv", "item_id,title\na,Tea\n")
    call_command("import_data", "corner", "--items", str(path))
    made = Import.objects.get()
    assert f"manage.py undo_import {made.pk} takes it back." in capsys.readouterr().out
    call_command("undo_import", str(made.pk))
    assert "items: 1 removed" in capsys.readouterr().out
    with pytest.raises(CommandError, match="There is no import 0"):
        call_command("undo_import", "0")


def test_after_a_month_it_is_too_late(catalog: Catalog, folder: Path) -> None:
    outcome = first(catalog, folder)
    forget_old()
    assert ImportedRow.objects.exists()
    Import.objects.update(made_at=timezone.now() - timedelta(days=32))
    with pytest.raises(CatalogError, match="older than 30 days"):
        undo(number(outcome), "eve")
    forget_old()
    assert not ImportedRow.objects.exists()
    assert Item.objects.count() == 2
