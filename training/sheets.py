"""What each kind of run can be told: the fields of its form, and what --param may say.

`SHEETS` is the one table. A kind without an entry has no form; it can still be retried as it was.
Nothing here imports torch.
"""

from django.utils.translation import gettext_noop as _
from django.utils.translation import pgettext_lazy

from training.dial_costs import WHAT
from training.distill_config import TEACHER, Distillation
from training.models import Evaluation, TrainingRun
from training.parameters import Parameter, Sheet
from training.refresh import encoder_settings
from training.search_space import NUMBERS, SPACES, USUAL_TRIALS, Search, read_search
from training.sheet_fields import (
    BRANCH_CHOICES,
    CHANCE,
    DESIGNS,
    ENCODER,
    SPLIT,
    START_FROM,
    TAUGHT,
    TEXT_LIMITS,
    TOKENS,
    TRAINED,
    TUNED,
    WAYS,
    YES_NO,
    field_by_way,
    field_of,
    field_taught,
    learned_encoders,
)
from training.text_config import (
    PRETRAINING,
    Finetuning,
    Pretraining,
    check_objectives,
)

SHEETS: dict[str, Sheet] = {
    TrainingRun.Kind.TRAIN: Sheet(
        _("Learns from what people did, makes a model, measures it and registers it."),
        "manage.py train {catalog}",
        (
            ENCODER,
            TUNED,
            Parameter(
                "epochs",
                _("Epochs of the tower"),
                _("Passes over everybody’s histories, at most."),
                usual=_("Empty: by the size of the log"),
                low=1,
                high=1_000,
            ),
            Parameter(
                "rounds",
                _("Trees"),
                _("At most; it stops earlier when nothing gets better."),
                usual=_("Empty: what is usual"),
                low=1,
                high=20_000,
            ),
            Parameter(
                "network_epochs",
                _("Epochs of the networks"),
                _("At most. 0 = trees alone, which is faster."),
                usual=_("Empty: what is usual"),
                low=0,
                high=200,
            ),
            Parameter(
                "personal_epochs",
                _("Epochs of the personal model"),
                _("At most. 0 = the head is not re-ordered."),
                usual=_("Empty: what is usual"),
                low=0,
                high=200,
            ),
            Parameter(
                "evaluate_people",
                _("People in the evaluation"),
                _("At most so many, drawn. Fewer make wider intervals."),
                usual=_("Empty: everybody"),
                low=20,
                high=10_000_000,
                is_seldom=True,
            ),
            Parameter(
                "promote_if_first",
                _("Go live by itself if it is the catalog’s first model"),
                "",
                bool,
                True,
                choices=YES_NO,
                is_seldom=True,
            ),
        ),
    ),
    TrainingRun.Kind.ENCODE: Sheet(
        _("Gives every item that is new or changed its vector. What is up to date costs nothing."),
        "manage.py refresh_embeddings {catalog}",
        always=lambda catalog: {"encoder": encoder_settings(catalog)},
    ),
    TrainingRun.Kind.EVALUATE: Sheet(
        _("Measures the pipeline beside baselines on what its models have not seen."),
        "manage.py evaluate {catalog}",
        (
            Parameter(
                "what",
                _("Question"),
                _("History, cold start and transfer fit a pipeline; the models’ page draws them."),
                str,
                "",
                choices=(
                    ("", _("How good, beside baselines")),
                    *Evaluation.Kind.choices,
                    (WHAT, _("What the dials cost")),
                ),
            ),
            SPLIT,
            Parameter(
                "fresh",
                _("Fit a pipeline anew"),
                _("No: the live model is measured, where one is live and the split is by time."),
                bool,
                False,
                choices=YES_NO,
            ),
            Parameter(
                "encoder",
                _("Encoder"),
                _("Another one than the live model’s fits a pipeline anew on its vectors."),
                str,
                "",
                choices=ENCODER.choices,
                more_choices=learned_encoders,
            ),
            Parameter(
                "people",
                _("People"),
                _("Measured, at most; drawn."),
                usual=_("Empty: everybody"),
                low=20,
                high=10_000_000,
            ),
        ),
        option="--{name} {value}",
    ),
    TrainingRun.Kind.PRETRAIN: Sheet(
        _("Teaches the language model this catalog’s words, from its texts alone."),
        "manage.py pretrain {catalog}",
        (
            START_FROM,
            *(field_of(PRETRAINING, *words, **TEXT_LIMITS[words[0]]) for words in TRAINED),
            field_of(
                Pretraining(),
                "masked",
                _("Weight of hidden words"),
                _("Guess hidden tokens; 0 = without."),
                low=0.0,
                high=10.0,
                is_seldom=True,
            ),
            field_of(
                Pretraining(),
                "contrastive",
                _("Weight of views"),
                _("Find the other view of a text; 0 = without."),
                low=0.0,
                high=10.0,
                is_seldom=True,
            ),
            field_of(Pretraining(), *TOKENS, **TEXT_LIMITS["max_tokens"]),
            SPLIT,
        ),
        together=check_objectives,
    ),
    TrainingRun.Kind.QUANTIZE: Sheet(
        _(
            "Makes smaller forms of an encoder, measures each, keeps the fastest that loses next to"
            " nothing."
        ),
        "manage.py quantize {catalog}",
        (ENCODER, SPLIT),
    ),
    TrainingRun.Kind.TUNE: Sheet(
        _("Searches for better settings, by trials on the validation fold; never on the test."),
        "manage.py tune {catalog}",
        (
            Parameter(
                "what",
                pgettext_lazy("of a search", "What"),
                _("Whose settings are searched for."),
                str,
                Search.what,
                choices=tuple((name, space.words) for name, space in SPACES.items()),
            ),
            Parameter(
                "only",
                _("Only"),
                _("One part of it."),
                str,
                Search.only,
                choices=(("", _("All parts")), *BRANCH_CHOICES),
                is_seldom=True,
            ),
            Parameter(
                "trials",
                _("Trials"),
                _("At most; those given up early count."),
                usual=_("Empty: %(many)d, or as many as the minutes allow"),
                usual_values={"many": USUAL_TRIALS},
                low=1,
                high=NUMBERS["trials"],
            ),
            Parameter(
                "minutes",
                _("Minutes"),
                _("After so many, no trial begins."),
                usual=_("Empty: no limit"),
                low=1,
                high=NUMBERS["minutes"],
            ),
            Parameter(
                "workers",
                _("Processes"),
                _("That try settings at the same time."),
                default=Search.workers,
                low=1,
                high=NUMBERS["workers"],
                is_seldom=True,
            ),
            ENCODER,
            SPLIT,
            *(
                Parameter(
                    name,
                    label,
                    _("Of each training that is tried, at most."),
                    usual=_("Empty: what is usual"),
                    low=1,
                    high=NUMBERS[name],
                    is_seldom=True,
                )
                for name, label in (
                    ("epochs", _("Epochs of the tower")),
                    ("rounds", _("Trees")),
                    ("steps", _("Steps of fine-tuning")),
                )
            ),
        ),
        together=read_search,
    ),
    TrainingRun.Kind.FINETUNE: Sheet(
        _("Teaches the language model what goes with what, from what people pick next."),
        "manage.py finetune {catalog}",
        (
            Parameter("way", _("Way"), _("What of it learns."), str, Finetuning.way, choices=WAYS),
            START_FROM,
            TUNED,
            *(field_by_way(*words, **TEXT_LIMITS[words[0]]) for words in TRAINED),
            field_of(
                Finetuning(),
                "history",
                _("Texts of a history"),
                _("The last so many are read while training."),
                low=1,
                high=50,
            ),
            field_of(
                Finetuning(),
                "hard",
                _("Hard negatives"),
                _("Texts near to a target that should fit less, a batch."),
                low=0,
                high=256,
                is_seldom=True,
            ),
            field_of(
                Finetuning(),
                "temperature",
                _("Temperature"),
                _("Lower tells near texts apart more sharply."),
                low=0.005,
                high=1.0,
                is_seldom=True,
            ),
            field_of(
                Finetuning(),
                "rank",
                _("Rank"),
                _("Size of LoRA’s additions."),
                low=1,
                high=256,
                is_seldom=True,
            ),
            field_of(
                Finetuning(), "crop", _("Crop"), _("Chance to hide the newest part."), **CHANCE
            ),
            field_of(
                Finetuning(),
                "drop",
                _("Drop"),
                _("Chance to hide each item of a history."),
                **CHANCE,
            ),
            field_of(
                Finetuning(), "reorder", _("Reorder"), _("Chance to shuffle a history."), **CHANCE
            ),
            field_of(
                Finetuning(),
                "word_drop",
                _("Drop words"),
                _("Chance to hide each token."),
                **CHANCE,
            ),
            field_of(
                Finetuning(),
                "dropout",
                _("Dropout"),
                _("Chance to hide each number that LoRA’s additions or the projection read."),
                **CHANCE,
            ),
            field_of(Finetuning(), *TOKENS, **TEXT_LIMITS["max_tokens"]),
            SPLIT,
        ),
    ),
    TrainingRun.Kind.DISTILL: Sheet(
        _(
            "A cross-encoder and an ensemble teach personal model and tower; the live model with a "
            "student that surely pays is registered."
        ),
        "manage.py distill {catalog}",
        (
            field_of(
                Distillation(),
                "design",
                _("The personal model reads"),
                _("Its design."),
                choices=DESIGNS,
            ),
            SPLIT,
            Parameter(
                "encoder",
                _("Encoder"),
                _("On another split than by time: on whose vectors a pipeline is fitted."),
                str,
                "",
                choices=ENCODER.choices,
                more_choices=learned_encoders,
                is_seldom=True,
            ),
            *(field_taught(*words) for words in TAUGHT),
            *(field_of(TEACHER, *words, **TEXT_LIMITS[words[0]]) for words in TRAINED),
        ),
    ),
}
