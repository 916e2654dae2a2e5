"""Who meets the challenger, and what happens when it fails."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from django.db import DatabaseError
from safetensors.numpy import save_file

from catalog.models import Catalog, Item
from ranking import rollout, serving
from ranking.bundle import BundleMeta, write_bundle
from ranking.pipeline import recommend
from ranking.rollout import answered, meets_challenger
from ranking.types import Query, Slate


@dataclass(frozen=True)
class State:
    """All that `answered` looks at."""

    bundle_id: str


@pytest.fixture
def catalog(db: None) -> Catalog:
    return Catalog.objects.create(
        slug="shop",
        name="Larder",
        item_kind="product",
        live_bundle="old",
        challenger_bundle="new",
        challenger_share=50,
    )


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout, "current", lambda catalog: (State("old"), None))
    monkeypatch.setattr(rollout, "challenging", lambda catalog: (State("new"), None))


def slate_of(state: Any, _: object) -> Slate:
    return Slate(uuid4(), (), state.bundle_id, ())


def one_who_meets(catalog: Catalog) -> int:
    return next(person for person in range(100) if meets_challenger(catalog, person))


class TestWho:
    def test_a_share_of_the_people_and_always_the_same(self, catalog: Catalog) -> None:
        people = range(4_000)
        met = {person for person in people if meets_challenger(catalog, person)}
        assert len(met) / len(people) == pytest.approx(0.5, abs=0.03)
        assert met == {person for person in people if meets_challenger(catalog, person)}

    def test_who_has_met_it_keeps_it_while_the_share_grows(self, catalog: Catalog) -> None:
        earlier: set[int] = set()
        for share in (1, 5, 10, 25, 50):
            catalog.challenger_share = share
            met = {person for person in range(2_000) if meets_challenger(catalog, person)}
            assert earlier < met
            earlier = met

    def test_another_challenger_meets_others(self, catalog: Catalog) -> None:
        first = [meets_challenger(catalog, person) for person in range(1_000)]
        catalog.challenger_bundle = "newer"
        second = [meets_challenger(catalog, person) for person in range(1_000)]
        assert np.mean(np.array(first) == second) == pytest.approx(0.5, abs=0.06)

    def test_nobody_known_and_no_roll_out(self, catalog: Catalog) -> None:
        assert not meets_challenger(catalog, None)
        catalog.challenger_share = 0
        assert not any(meets_challenger(catalog, person) for person in range(100))


class TestAnswers:
    def test_by_turns(self, catalog: Catalog, loaded: None) -> None:
        for person in range(20):
            expected = "new" if meets_challenger(catalog, person) else "old"
            assert answered(catalog, person, slate_of).bundle_id == expected

    def test_the_live_one_steps_in_and_the_roll_out_ends(
        self, catalog: Catalog, loaded: None
    ) -> None:
        def path(state: Any, encoder: object) -> Slate:
            if state.bundle_id == "new":
                raise ZeroDivisionError("no")
            return slate_of(state, encoder)

        assert answered(catalog, one_who_meets(catalog), path).bundle_id == "old"
        catalog.refresh_from_db()
        assert (catalog.challenger_bundle, catalog.challenger_share) == ("new", 0)
        assert catalog.challenger_fault == "An answer of it failed: ZeroDivisionError: no"

    def test_what_fails_with_both_is_not_its_fault(self, catalog: Catalog, loaded: None) -> None:
        def path(state: Any, encoder: object) -> Slate:
            raise ZeroDivisionError

        def without_database(state: Any, encoder: object) -> Slate:
            raise DatabaseError

        with pytest.raises(ZeroDivisionError):
            answered(catalog, one_who_meets(catalog), path)
        with pytest.raises(DatabaseError):
            answered(catalog, one_who_meets(catalog), without_database)
        catalog.refresh_from_db()
        assert catalog.challenger_share == 50


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("own_folders")
def test_one_that_cannot_be_loaded_is_withdrawn_and_nobody_waits(
    tmp_path: Path, django_assert_max_num_queries: Any
) -> None:
    catalog = Catalog.objects.create(slug="shop", name="Larder", item_kind="product")
    Item.objects.create(catalog=catalog, external_id="1", title="Milk")
    files = tmp_path / "files"
    files.mkdir()
    save_file({"weight": np.zeros(1, dtype=np.float32)}, files / "a.safetensors")
    bundle_id = write_bundle(files, BundleMeta("shop", "", {}))
    recommend(Query("shop"))  # what is live is in memory
    Catalog.objects.update(challenger_bundle=bundle_id, challenger_share=99)
    catalog.refresh_from_db()
    person = one_who_meets(catalog)
    with django_assert_max_num_queries(4):  # catalog, history, titles, slate: none for the share
        slate = recommend(Query("shop", user_id=person, log=False))
    assert slate.bundle_id == ""
    deadline = time.monotonic() + 20
    while Catalog.objects.get().challenger_share and time.monotonic() < deadline:
        time.sleep(0.05)
        recommend(Query("shop", user_id=person, log=False))
    catalog.refresh_from_db()
    assert (catalog.challenger_share, catalog.challenger_bundle) == (0, bundle_id)
    assert "could not load its files" in catalog.challenger_fault
    recommend(Query("shop"))
    assert not serving._challengers  # and its memory is free again
