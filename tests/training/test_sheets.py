"""What runs can be told: how it is read, and that the trainings know all of it."""

from dataclasses import asdict
from typing import Any

import pytest
from django.utils.translation import override

from catalog.models import Catalog, EncoderVersion
from training import train
from training.distill_config import TEACHER, Distillation
from training.learned import TOLD
from training.models import TrainingRun
from training.parameters import TOGETHER, Parameter, checked
from training.search_space import NUMBERS, WORDS
from training.sheets import SHEETS
from training.text_config import FINETUNING, PRETRAINING, Finetuning, Pretraining


@pytest.fixture
def shop(db: None) -> Catalog:
    return Catalog.objects.create(slug="shop", name="Larder", item_kind="product")


class TestSheets:
    def test_the_trainings_know_every_parameter(self) -> None:
        learned = set(asdict(Finetuning()) | asdict(FINETUNING["lora"])) | set(TOLD)
        known = {
            "train": set(train.PARAMETERS),
            "encode": set(),
            "evaluate": {"what", "split", "fresh", "encoder", "people"},
            "pretrain": set(asdict(Pretraining()) | asdict(PRETRAINING)) | set(TOLD),
            "finetune": learned | {"tuned"},
            "quantize": {"encoder", "split"},
            "tune": {*WORDS, *NUMBERS},
            "distill": set(asdict(Distillation()) | asdict(TEACHER)) | set(TOLD),
        }
        for kind, sheet in SHEETS.items():
            assert {one.name for one in sheet.parameters} <= known[kind], kind

    def test_what_does_not_go_together_is_said(self, shop: Catalog) -> None:
        found = checked(SHEETS["tune"], shop, {"what": "tower", "only": "fm"})
        assert "only=fm is no part of tower" in found.faults[TOGETHER]

    @pytest.mark.parametrize("kind", SHEETS)
    def test_what_is_usual_is_right_and_changes_nothing(self, shop: Catalog, kind: str) -> None:
        usual = {one.name: one.default for one in SHEETS[kind].parameters}
        found = checked(SHEETS[kind], shop, usual)
        assert (found.values, found.faults) == ({}, {})

    def test_what_a_command_says_counts_though_it_is_usual(self, shop: Catalog) -> None:
        said = checked(SHEETS["finetune"], shop, {"way": "lora"}, keep_usual=True)
        assert said.values == {"way": "lora"}  # so that no search overrules it

    @pytest.mark.parametrize("language", ["en", "zh-hans"])
    def test_what_an_empty_field_means_is_said(self, language: str) -> None:
        with override(language):
            said = {one.name: one.placeholder for one in SHEETS["finetune"].parameters}
        assert "full 400, lora 400, projection 3000" in said["steps"]
        assert said["history"] == ""

    def test_says_what_to_type_instead(self, shop: Catalog) -> None:
        line = SHEETS[TrainingRun.Kind.EVALUATE].line(shop, {"fresh": True, "people": 50})
        assert line == "manage.py evaluate shop --fresh --people 50"
        line = SHEETS[TrainingRun.Kind.TRAIN].line(shop, {"promote_if_first": False, "epochs": 3})
        assert line == "manage.py train shop --param promote_if_first=false --param epochs=3"

    @pytest.mark.parametrize("kind", ["pretrain", "finetune", "distill"])
    def test_all_of_a_text_training_can_be_told(self, kind: str) -> None:
        assert set(asdict(TEACHER)) <= {one.name for one in SHEETS[kind].parameters}

    def test_two_objectives_without_weight_are_refused(self, shop: Catalog) -> None:
        sheet = SHEETS["pretrain"]
        found = checked(sheet, shop, {"masked": 0, "contrastive": 0})
        assert "give one of them a weight" in found.faults[TOGETHER]
        assert not checked(sheet, shop, {"masked": 0}).faults


class TestRead:
    @pytest.mark.parametrize(
        ("kind", "text", "said"),
        [
            (int, "2.5", "a whole number, not 2.5"),
            (int, "nan", "a number, not 'nan'"),
            (float, "1e3", "at most 10, not 1e3"),
            (float, "-1", "at least 0, not -1"),
            (bool, "perhaps", "yes or no, not 'perhaps'"),
        ],
    )
    def test_refuses(self, shop: Catalog, kind: type, text: str, said: str) -> None:
        one = Parameter("name", "Name", kind=kind, low=0, high=10)
        with pytest.raises(ValueError, match=said):
            one.read(text, shop)

    @pytest.mark.parametrize(
        ("kind", "value", "read"),
        [(int, " 3 ", 3), (int, 3, 3), (float, "5e-05", 5e-5), (bool, True, True), (bool, "no", 0)],
    )
    def test_reads_text_and_json(self, shop: Catalog, kind: type, value: Any, read: Any) -> None:
        assert Parameter("name", "Name", kind=kind).read(value, shop) == read

    def test_knows_a_learned_encoder_by_how_its_digest_begins(self, shop: Catalog) -> None:
        for digest in ("ab" * 32, "ac" * 32):
            EncoderVersion.objects.create(
                name="learned", digest=digest, dimensions=4, catalog=shop, way="lora"
            )
        sheet = SHEETS[TrainingRun.Kind.TRAIN]
        assert checked(sheet, shop, {"encoder": "aba"}).values == {"encoder": "aba"}
        assert "encoder" in checked(sheet, shop, {"encoder": "a"}).faults
        assert "encoder" in checked(sheet, shop, {"encoder": "zz"}).faults

    def test_a_split_may_leave_out_any_number(self, shop: Catalog) -> None:
        sheet = SHEETS[TrainingRun.Kind.EVALUATE]
        assert checked(sheet, shop, {"split": "leave-last-3"}).values == {"split": "leave-last-3"}
        assert "split" in checked(sheet, shop, {"split": "leave-last"}).faults
