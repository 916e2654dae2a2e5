"""Cold start: what an encoder that has read picks is not asked."""

from dataclasses import replace
from typing import Any

import pytest

from catalog.models import Catalog, EncoderVersion, Interaction
from ranking.item_index import ItemIndex
from ranking.loading import bare_state
from training import cold_start as module
from training.cold_start import UNTOUCHED_ITEMS, cold_start
from training.evaluation import prepare
from training.handle import RunHandle
from training.models import TrainingRun
from training.plots import FIRST_DAY, plots_of
from training.runs import create_claimed

FEW = [f"people with {length} interactions" for length in (0, 1, 3)]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("own_folders")
@pytest.mark.parametrize("way", ["pre-trained", "projection", "int8 of lora"])
def test_an_encoder_that_learned_from_picks_is_not_asked_about_them(
    catalog: Catalog, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    version: EncoderVersion | None = None
    for number, step in enumerate(reversed(way.split(" of "))):
        version = EncoderVersion.objects.create(
            name=step, digest=f"{number}" * 64, dimensions=384, catalog=catalog, way=step,
            parent=version,
        )  # fmt: skip
    known = []

    def prepared(*told: Any) -> Any:
        items, log, split = prepare(*told)
        return replace(items, encoder=version), log, split

    def fitted(handle: RunHandle, catalog: Catalog, items: ItemIndex, log: Any, *_: Any) -> Any:
        known.append(len(log))
        return bare_state(items, catalog)

    monkeypatch.setattr(module, "prepare", prepared)
    monkeypatch.setattr(module, "fit_pipeline", fitted)
    run, lease = create_claimed(catalog, TrainingRun.Kind.EVALUATE, "test", {})
    with RunHandle(run, lease) as handle:
        rows = cold_start(handle, "time")
    cases = {row["case"] for row in rows}
    said = run.log_lines.filter(text__startswith=f"Without {UNTOUCHED_ITEMS} and {FIRST_DAY}")
    if way == "pre-trained":
        assert cases == {*FEW, UNTOUCHED_ITEMS, FIRST_DAY}
        assert not said.exists()
    else:
        assert cases == set(FEW)
        assert "was fine-tuned on what people picked" in said.get().text
        assert known == [
            Interaction.objects.filter(item__catalog=catalog).count()
        ]  # nothing is taken out
    assert len(plots_of("cold-start", rows)) == (2 if way == "pre-trained" else 1)
