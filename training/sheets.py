"""What each kind of run can be told: the fields of its form, and what --param may say.

`SHEETS` is the one table. A kind without an entry has no form; it can still be retried as it was.
Nothing here imports torch.
"""

from typing import Any

from django.utils.translation import gettext_noop as _
from django.utils.translation import pgettext_lazy

from catalog.models import Catalog
from training.dial_costs import WHAT
from training.distill_config import TEACHER, Distillation
from training.models import Evaluation, TrainingRun
from training.parameters import Choices, Parameter, Sheet
from training.refresh import encoder_settings
from training.search_space import BRANCHES, NUMBERS, SPACES, USUAL_TRIALS, Search, read_search
from training.text_config import (
    FINETUNING,
    PRETRAINING,
    Finetuning,
    Pretraining,
    check_objectives,
)

YES_NO: Choices = (("yes", _("Yes")), ("no", _("No")))
SPLITS: Choices = (
    ("time", _("By time: the newest weeks are asked for")),
    ("leave-last-out", _("The last pick of everybody")),
    ("leave-last-5", _("The last five picks of everybody")),
)
AS_DOWNLOADED = ("configured", _("As downloaded"))
BRANCH_CHOICES: Choices = tuple((name, branch.words) for name, branch in BRANCHES.items())
WAYS: Choices = (
    ("projection", _("Projection: a minute or so, texts are read as before")),
    ("lora", _("LoRA: small additions to the network")),
    ("full", _("Full: every weight learns")),
)

DESIGNS: Choices = (  # of ranking/personalizer.py
    ("tokens", _("Words, vectors and features")),
    ("attention", _("Vectors and features: quicker")),
    ("features", _("Features only: quickest")),
)


def _learned(catalog: Catalog) -> Choices:
    """The encoders that the catalog has learned, newest first."""
    found = catalog.encoders.order_by("-pk")
    return tuple((one.digest, f"{one.digest[:8]}, {one.way}") for one in found)


def _of(config: Any, name: str, label: str, help_: str = "", **limits: Any) -> Parameter:
    """A field of a configuration, with its kind and its default."""
    default = getattr(config, name)
    return Parameter(name, label, help_, type(default), default, **limits)


def _by_way(name: str, label: str, help_: str, **limits: Any) -> Parameter:
    """A field whose default depends on the way of fine-tuning."""
    values = {way: getattr(config, name) for way, config in FINETUNING.items()}
    usual = ", ".join(f"{way} {value:g}" for way, value in values.items())
    kind = type(values["full"])
    told = _("Empty: %(values)s")
    return Parameter(name, label, help_, kind, None, told, {"values": usual}, **limits)


def _taught(name: str, label: str, help_: str, low: float, high: float) -> Parameter:
    """A field of a distillation; all but its size are folded away."""
    seldom = name not in {"requests", "unlabelled"}
    return _of(Distillation(), name, label, help_, low=low, high=high, is_seldom=seldom)


ENCODER = Parameter(
    "encoder",
    _("Encoder"),
    _("The language model that reads the items."),
    str,
    "",
    choices=(("", _("The live model’s")), AS_DOWNLOADED),
    more_choices=_learned,
)
START_FROM = Parameter(
    "encoder",
    _("Start from"),
    _("The encoder whose weights are trained further."),
    str,
    AS_DOWNLOADED[0],
    choices=(AS_DOWNLOADED,),
    more_choices=_learned,
)
TUNED = Parameter(
    "tuned",
    _("Settings from"),
    _("A search for better settings; “latest” is the last one that succeeded."),
    str,
    "",
    choices=(("", _("The usual ones")), ("latest", _("The latest search"))),
    pattern=r"[0-9a-f-]{36}",
)
SPLIT = Parameter(
    "split",
    _("Split"),
    _("What is held back, and asked for afterwards."),
    str,
    "time",
    choices=SPLITS,
    pattern=r"leave-last-\d{1,2}",
)
TEXT_LIMITS: dict[str, dict[str, Any]] = {  # of fields that both trainings of an encoder have
    "steps": {"low": 1, "high": 100_000},
    "learning_rate": {"low": 1e-7, "high": 0.1},
    "batch": {"low": 2, "high": 4_096},
    "every": {"low": 1, "high": 10_000, "is_seldom": True},
    "accumulate": {"low": 1, "high": 256, "is_seldom": True},
    "patience": {"low": 1, "high": 100, "is_seldom": True},
    "weight_decay": {"low": 0.0, "high": 1.0, "is_seldom": True},
    "clip": {"low": 0.001, "high": 1_000.0, "is_seldom": True},
    "warm_up": {"low": 0.0, "high": 1.0, "is_seldom": True},
    "max_tokens": {"low": 8, "high": 512, "is_seldom": True},
}
STEPS = ("steps", _("Steps"), _("Of the optimiser, at most; it ends when nothing gets better."))
RATE = ("learning_rate", _("Learning rate"), _("Rises at first, then falls."))
BATCH = ("batch", _("Batch"), _("Examples read at once; more needs more memory."))
EVERY = (
    "every",
    _("Validate every"),
    _("Steps between two looks at held-out data, and checkpoints."),
)
ACCUMULATE = (
    "accumulate",
    _("Batches a step"),
    _("More is like a larger batch, without its memory."),
)
PATIENCE = ("patience", _("Patience"), _("Validations without a better one before it ends."))
DECAY = ("weight_decay", _("Weight decay"), _("Pulls weights towards 0; 0 = without."))
CLIP = ("clip", _("Longest gradient"), _("Of a step; a longer one is shortened to it."))
WARM_UP = ("warm_up", _("Warm-up"), _("Share of the steps in which the learning rate rises."))
TRAINED = (STEPS, RATE, BATCH, EVERY, ACCUMULATE, PATIENCE, DECAY, CLIP, WARM_UP)  # TextTraining
TOKENS = ("max_tokens", _("Tokens"), _("Of a text; what is longer is cut off while training."))
SEED = Parameter(
    "seed",
    _("Seed"),
    _("The same seed and data give the same run."),
    default=1,
    low=0,
    high=2**31 - 1,
)
TAUGHT: tuple[tuple[str, str, str, float, float], ...] = (  # name, label, help, least, most
    ("requests", _("Heads"), _("Of requests of the validation fold, at most."), 100, 100_000),
    ("unlabelled", _("Heads without picks"), _("Of people who did not come, at most."), 0, 100_000),
    ("groups", _("Groups of people"), _("Each is ordered by what the others taught."), 2, 10),
    ("candidates", _("Candidates"), _("Of a head, that are learned from."), 2, 100),
    ("depth", _("Depth"), _("Candidates that the cross-encoder orders when measured."), 10, 100),
    ("history", _("Titles of a history"), _("The last so many are read."), 1, 20),
    ("max_tokens", _("Tokens"), _("Of a pair of texts; what is longer is cut off."), 16, 512),
    ("layers", _("Layers that learn"), _("Of the encoder, from the top."), 1, 100),
    ("members", _("Members"), _("Personal models of an ensemble."), 1, 20),
    ("personal_epochs", _("Epochs of the personal model"), _("Passes over the heads."), 1, 200),
    ("alpha", _("Weight of the teacher"), _("The rest is the weight of the picks."), 0.0, 1.0),
    ("temperature", _("Temperature"), _("Higher = a softer order."), 0.1, 20.0),
    ("tower_steps", _("Steps of the tower"), _("At most."), 1, 10_000),
    ("tower_rate", _("Learning rate of the tower"), _("Small: it has been trained."), 1e-7, 0.1),
    (
        "epochs",
        _("Epochs of the tower"),
        _("On another split than by time; 0 = by size."),
        0,
        1_000,
    ),
    ("rounds", _("Trees"), _("Of the run’s own rankers, at most."), 1, 20_000),
    ("network_epochs", _("Epochs of the networks"), _("Of these; 0 = trees alone."), 0, 200),
    (
        "evaluate_people",
        _("People in the evaluation"),
        _("Of what is registered; 0 = all."),
        0,
        10_000_000,
    ),
)
CHANCE: dict[str, Any] = {"low": 0.0, "high": 0.9, "is_seldom": True}

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
                more_choices=_learned,
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
            *(_of(PRETRAINING, *words, **TEXT_LIMITS[words[0]]) for words in TRAINED),
            _of(
                Pretraining(),
                "masked",
                _("Weight of hidden words"),
                _("Guess hidden tokens; 0 = without."),
                low=0.0,
                high=10.0,
                is_seldom=True,
            ),
            _of(
                Pretraining(),
                "contrastive",
                _("Weight of views"),
                _("Find the other view of a text; 0 = without."),
                low=0.0,
                high=10.0,
                is_seldom=True,
            ),
            _of(Pretraining(), *TOKENS, **TEXT_LIMITS["max_tokens"]),
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
            *(_by_way(*words, **TEXT_LIMITS[words[0]]) for words in TRAINED),
            _of(
                Finetuning(),
                "history",
                _("Texts of a history"),
                _("The last so many are read while training."),
                low=1,
                high=50,
            ),
            _of(
                Finetuning(),
                "hard",
                _("Hard negatives"),
                _("Texts near to a target that should fit less, a batch."),
                low=0,
                high=256,
                is_seldom=True,
            ),
            _of(
                Finetuning(),
                "temperature",
                _("Temperature"),
                _("Lower tells near texts apart more sharply."),
                low=0.005,
                high=1.0,
                is_seldom=True,
            ),
            _of(
                Finetuning(),
                "rank",
                _("Rank"),
                _("Size of LoRA’s additions."),
                low=1,
                high=256,
                is_seldom=True,
            ),
            _of(Finetuning(), "crop", _("Crop"), _("Chance to hide the newest part."), **CHANCE),
            _of(
                Finetuning(),
                "drop",
                _("Drop"),
                _("Chance to hide each item of a history."),
                **CHANCE,
            ),
            _of(Finetuning(), "reorder", _("Reorder"), _("Chance to shuffle a history."), **CHANCE),
            _of(
                Finetuning(),
                "word_drop",
                _("Drop words"),
                _("Chance to hide each token."),
                **CHANCE,
            ),
            _of(Finetuning(), *TOKENS, **TEXT_LIMITS["max_tokens"]),
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
            _of(
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
                more_choices=_learned,
                is_seldom=True,
            ),
            *(_taught(*words) for words in TAUGHT),
            *(_of(TEACHER, *words, **TEXT_LIMITS[words[0]]) for words in TRAINED),
        ),
    ),
}
