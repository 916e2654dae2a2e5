import os
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from catalog.models import Catalog, User
from ranking.bundle import BundleError, bundle_exists, bundle_path
from tests.training.bundles import SNAPSHOT, Maker
from training import registry, rollout
from training.errors import TrainingFault
from training.models import ModelVersion, Promotion, TrainingRun

pytestmark = pytest.mark.usefixtures("own_bundles")


def live(catalog: Catalog) -> str:
    catalog.refresh_from_db()
    return catalog.live_bundle


def spoil(version: ModelVersion) -> None:
    path = bundle_path(version.bundle_id) / "a.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_registering_twice_changes_nothing(shop: Catalog, make: Maker) -> None:
    version = make(shop)
    assert registry.register(None, version.bundle_id, {"other": 1}) == version
    assert ModelVersion.objects.count() == 1


def test_what_cannot_be_opened_is_not_registered(shop: Catalog) -> None:
    with pytest.raises(BundleError):
        registry.register(None, "shop-20260101T000000Z-0123abcd", {})


def test_promote_moves_the_pointer_and_says_why(shop: Catalog, make: Maker, admin: User) -> None:
    first, second = make(shop), make(shop)
    registry.promote(first, admin, "first try")
    registry.promote(second, admin, "  better  ")
    assert live(shop) == second.bundle_id
    change = Promotion.objects.latest("at")
    assert (change.from_bundle, change.to_bundle, change.reason, change.by) == (
        first.bundle_id,
        second.bundle_id,
        "better",
        admin,
    )


def test_parent_is_what_was_live_when_it_was_registered(shop: Catalog, make: Maker) -> None:
    first = make(shop)
    registry.promote(first, None, "first")
    assert make(shop).parent == first


def test_a_reason_is_required(shop: Catalog, make: Maker) -> None:
    with pytest.raises(TrainingFault, match="Say why"):
        registry.promote(make(shop), None, "  ")
    assert live(shop) == ""


def test_what_is_live_is_not_promoted_again(shop: Catalog, make: Maker) -> None:
    version = make(shop)
    registry.promote(version, None, "first")
    with pytest.raises(TrainingFault, match="live already"):
        registry.promote(version, None, "again")


def test_a_corrupt_bundle_is_refused_and_the_old_one_stays(shop: Catalog, make: Maker) -> None:
    first, second = make(shop), make(shop)
    registry.promote(first, None, "first")
    spoil(second)
    with pytest.raises(TrainingFault, match="was changed"):
        registry.promote(second, None, "better", force=True)
    assert live(shop) == first.bundle_id
    assert Promotion.objects.count() == 1


def test_a_bundle_that_is_not_the_registered_one_is_refused(shop: Catalog, make: Maker) -> None:
    version = make(shop)
    version.digest = "0" * 64
    with pytest.raises(TrainingFault, match="not the one that was registered"):
        registry.promote(version, None, "first")


@pytest.mark.django_db(transaction=True)
def test_serving_is_told_once_it_is_committed(make: Maker) -> None:
    shop = Catalog.objects.create(slug="shop", name="Larder", item_kind="product")
    parameters = connection.get_connection_params()
    wanted = {
        name: parameters[name]
        for name in ("host", "port", "user", "password", "dbname")
        if name in parameters
    }
    with psycopg.connect(**wanted, autocommit=True) as listener:
        listener.execute(f"LISTEN {registry.CHANNEL}")
        registry.promote(make(shop), None, "first")
        told = next(listener.notifies(timeout=5))
    assert told.payload == "shop"


class TestRollBack:
    def test_goes_back_step_by_step(self, shop: Catalog, make: Maker, admin: User) -> None:
        versions = [make(shop) for _ in range(3)]
        for version in versions:
            registry.promote(version, admin, "next")
        registry.roll_back(shop, admin, "bad")
        assert live(shop) == versions[1].bundle_id
        registry.roll_back(shop, admin, "bad too")
        assert live(shop) == versions[0].bundle_id
        registry.promote(versions[2], admin, "after all")
        registry.roll_back(shop, admin, "no")
        assert live(shop) == versions[0].bundle_id

    def test_before_the_first_there_is_none(self, shop: Catalog, make: Maker) -> None:
        with pytest.raises(TrainingFault, match="none to roll back"):
            registry.roll_back(shop, None, "bad")
        registry.promote(make(shop), None, "first")
        registry.roll_back(shop, None, "bad")
        assert live(shop) == ""

    def test_a_corrupt_target_is_refused(self, shop: Catalog, make: Maker) -> None:
        first, second = make(shop), make(shop)
        registry.promote(first, None, "first")
        registry.promote(second, None, "second")
        spoil(first)
        with pytest.raises(TrainingFault, match="was changed"):
            registry.roll_back(shop, None, "bad")
        assert live(shop) == second.bundle_id


def test_only_the_first_is_promoted_by_itself(shop: Catalog, make: Maker) -> None:
    first, second = make(shop), make(shop)
    change = registry.promote_if_first(first)
    assert change is not None
    assert "first model" in change.reason
    assert registry.promote_if_first(second) is None
    assert live(shop) == first.bundle_id


def test_pruning_keeps_the_newest_the_live_and_the_previous(
    shop: Catalog, make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "KEEP_BUNDLES", 1)
    versions = [make(shop) for _ in range(5)]
    registry.promote(versions[0], None, "first")
    registry.promote(versions[1], None, "second")
    assert set(registry.prune(shop)) == {versions[2].bundle_id, versions[3].bundle_id}
    assert [bundle_exists(version.bundle_id) for version in versions] == [
        True,
        True,
        False,
        False,
        True,
    ]
    assert ModelVersion.objects.count() == 5


class TestDelete:
    def test_the_bundle_goes_and_a_snapshot_that_no_other_needs(
        self, shop: Catalog, make: Maker, settings: Any
    ) -> None:
        snapshot = Path(settings.SNAPSHOT_DIR) / f"{SNAPSHOT}.parquet"
        snapshot.parent.mkdir()
        snapshot.touch()
        first, second = make(shop), make(shop)
        registry.delete(first)
        assert not bundle_exists(first.bundle_id)
        assert snapshot.exists()  # the second was trained on it, too
        assert any("snapshot aaaaaaaa" in what for what in registry.delete(second))
        assert not snapshot.exists()
        assert not ModelVersion.objects.exists()

    def test_what_is_needed_stays(self, shop: Catalog, make: Maker) -> None:
        previous, current, challenger, other = (make(shop) for _ in range(4))
        registry.promote(previous, None, "first")
        registry.promote(current, None, "second")
        rollout.name_challenger(challenger)
        for version, role in (
            (previous, "what a roll-back returns to"),
            (current, "live"),
            (challenger, "the challenger"),
        ):
            with pytest.raises(TrainingFault, match=f"is {role}, so it cannot be deleted"):
                registry.delete(version)
            assert bundle_exists(version.bundle_id)
        registry.delete(other)
        assert ModelVersion.objects.count() == 3

    def test_the_command_asks_first(self, shop: Catalog, make: Maker, capsys: Any) -> None:
        version = make(shop)
        call_command("delete_model", version.bundle_id)
        assert "would go: its bundle of" in capsys.readouterr().out
        assert bundle_exists(version.bundle_id)
        call_command("delete_model", version.bundle_id, "--yes")
        assert not bundle_exists(version.bundle_id)
        with pytest.raises(CommandError, match="There is no model"):
            call_command("delete_model", version.bundle_id, "--yes")


def test_what_nothing_refers_to_goes_after_a_day(shop: Catalog, make: Maker, settings: Any) -> None:
    version, unregistered = make(shop), make(shop)
    unregistered.delete()
    snapshots = Path(settings.SNAPSHOT_DIR)
    (bundle_path(version.bundle_id).parent / ".new-half").mkdir()
    snapshots.mkdir()
    evaluated, resumed, learned = "e" * 64, "d" * 64, SNAPSHOT
    for digest in (evaluated, resumed, learned):
        (snapshots / f"{digest}.parquet").touch()
    (snapshots / "notes.txt").touch()
    TrainingRun.objects.create(catalog=shop, kind="train", snapshot_digest=resumed)
    assert registry.prune_leftovers() == []  # a run may be about to register it
    for path in (*snapshots.iterdir(), *bundle_path(version.bundle_id).parent.iterdir()):
        os.utime(path, (0, 0))
    gone = {unregistered.bundle_id, ".new-half", f"{evaluated}.parquet"}
    assert set(registry.prune_leftovers()) == gone
    assert bundle_exists(version.bundle_id)
    assert registry.prune_leftovers() == []


class TestCommands:
    def test_promote_and_roll_back(self, shop: Catalog, make: Maker, capsys: Any) -> None:
        version = make(shop)
        call_command("promote", version.bundle_id, reason="try it")
        assert live(shop) == version.bundle_id
        assert "quality: " in capsys.readouterr().out
        call_command("rollback", "shop", reason="no")
        assert live(shop) == ""

    def test_what_is_not_there_is_one_line(self, shop: Catalog) -> None:
        with pytest.raises(CommandError, match="There is no model 'x'"):
            call_command("promote", "x", reason="r")
        with pytest.raises(CommandError, match=r"There is no catalog 'nix'\. Known: shop"):
            call_command("rollback", "nix", reason="r")
        with pytest.raises(CommandError, match="No model of shop is live"):
            call_command("rollback", "shop", reason="r")
