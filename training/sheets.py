"""What each kind of run can be told: the fields of its form, and what --param may say.

`SHEETS` is the one table. A kind without an entry has no form; it can still be retried as it was.
Nothing here imports torch.
"""

from typing import Any

from catalog.models import Catalog
from training.dial_costs import WHAT
from training.distill_config import TEACHER, Distillation
from training.models import Evaluation, TrainingRun
from training.parameters import Choices, Parameter, Sheet
from training.refresh import encoder_settings
from training.search_space import NUMBERS, SPACES, USUAL_TRIALS, Search, read_search
from training.text_config import FINETUNING, PRETRAINING, Finetuning, Pretraining

YES_NO: Choices = (("yes", "Yes"), ("no", "No"))
SPLITS: Choices = (
    ("time", "By time: the newest weeks are asked for"),
    ("leave-last-out", "The last pick of everybody"),
    ("leave-last-5", "The last five picks of everybody"),
)
AS_DOWNLOADED = ("configured", "As downloaded")
BRANCHES: Choices = tuple(
    {branch.name: branch.words for space in SPACES.values() for branch in space.branches}.items()
)
WAYS: Choices = (
    ("projection", "Projection: a minute or so, texts are read as before"),
    ("lora", "LoRA: small additions to the network"),
    ("full", "Full: every weight learns"),
)

DESIGNS: Choices = (  # of ranking/personalizer.py
    ("tokens", "Words, vectors and features"),
    ("attention", "Vectors and features: quicker"),
    ("features", "Features only: quickest"),
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
    return Parameter(name, label, help_, kind, None, f"Empty: {usual}", **limits)


def _taught(name: str, label: str, help_: str, low: float, high: float) -> Parameter:
    """A field of a distillation; all but its size are folded away."""
    seldom = name not in {"requests", "unlabelled"}
    return _of(Distillation(), name, label, help_, low=low, high=high, is_seldom=seldom)


ENCODER = Parameter(
    "encoder",
    "Encoder",
    "The language model that reads the items.",
    str,
    "",
    choices=(("", "The live model’s"), AS_DOWNLOADED),
    more_choices=_learned,
)
START_FROM = Parameter(
    "encoder",
    "Start from",
    "The encoder whose weights are trained further.",
    str,
    AS_DOWNLOADED[0],
    choices=(AS_DOWNLOADED,),
    more_choices=_learned,
)
TUNED = Parameter(
    "tuned",
    "Settings from",
    "A search for better settings; “latest” is the last one that succeeded.",
    str,
    "",
    choices=(("", "The usual ones"), ("latest", "The latest search")),
    pattern=r"[0-9a-f-]{36}",
)
SPLIT = Parameter(
    "split",
    "Split",
    "What is held back, and asked for afterwards.",
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
    "max_tokens": {"low": 8, "high": 512, "is_seldom": True},
}
STEPS = ("steps", "Steps", "Of the optimiser, at most; it ends when nothing gets better.")
RATE = ("learning_rate", "Learning rate", "Rises at first, then falls.")
BATCH = ("batch", "Batch", "Examples read at once; more needs more memory.")
EVERY = ("every", "Validate every", "Steps between two looks at held-out data, and checkpoints.")
ACCUMULATE = ("accumulate", "Batches a step", "More is like a larger batch, without its memory.")
PATIENCE = ("patience", "Patience", "Validations without a better one before it ends.")
TOKENS = ("max_tokens", "Tokens", "Of a text; what is longer is cut off while training.")
SEED = Parameter(
    "seed", "Seed", "The same seed and data give the same run.", default=1, low=0, high=2**31 - 1
)
TAUGHT: tuple[tuple[str, str, str, float, float], ...] = (  # name, label, help, least, most
    ("requests", "Heads", "Of requests of the validation fold, at most.", 100, 100_000),
    ("unlabelled", "Heads without picks", "Of people who did not come, at most.", 0, 100_000),
    ("groups", "Groups of people", "Each is ordered by what the others taught.", 2, 10),
    ("candidates", "Candidates", "Of a head, that are learned from.", 2, 100),
    ("depth", "Depth", "Candidates that the cross-encoder orders when measured.", 10, 100),
    ("history", "Titles of a history", "The last so many are read.", 1, 20),
    ("max_tokens", "Tokens", "Of a pair of texts; what is longer is cut off.", 16, 512),
    ("layers", "Layers that learn", "Of the encoder, from the top.", 1, 100),
    ("members", "Members", "Personal models of an ensemble.", 1, 20),
    ("personal_epochs", "Epochs of the personal model", "Passes over the heads.", 1, 200),
    ("alpha", "Weight of the teacher", "The rest is the weight of the picks.", 0.0, 1.0),
    ("temperature", "Temperature", "Higher = a softer order.", 0.1, 20.0),
    ("tower_steps", "Steps of the tower", "At most.", 1, 10_000),
    ("tower_rate", "Learning rate of the tower", "Small: it has been trained.", 1e-7, 0.1),
    ("epochs", "Epochs of the tower", "On another split than by time; 0 = by size.", 0, 1_000),
    ("rounds", "Trees", "Of the run’s own rankers, at most.", 1, 20_000),
    ("network_epochs", "Epochs of the networks", "Of these; 0 = trees alone.", 0, 200),
    (
        "evaluate_people",
        "People in the evaluation",
        "Of what is registered; 0 = all.",
        0,
        10_000_000,
    ),
)
CHANCE: dict[str, Any] = {"low": 0.0, "high": 0.9, "is_seldom": True}

SHEETS: dict[str, Sheet] = {
    TrainingRun.Kind.TRAIN: Sheet(
        "Learns from what people did, makes a model, measures it and registers it.",
        "manage.py train {catalog}",
        (
            ENCODER,
            TUNED,
            Parameter(
                "epochs",
                "Epochs of the tower",
                "Passes over everybody’s histories, at most.",
                usual="Empty: by the size of the log",
                low=1,
                high=1_000,
            ),
            Parameter(
                "rounds",
                "Trees",
                "At most; it stops earlier when nothing gets better.",
                usual="Empty: what is usual",
                low=1,
                high=20_000,
            ),
            Parameter(
                "network_epochs",
                "Epochs of the networks",
                "At most. 0 = trees alone, which is faster.",
                usual="Empty: what is usual",
                low=0,
                high=200,
            ),
            Parameter(
                "personal_epochs",
                "Epochs of the personal model",
                "At most. 0 = the head is not re-ordered.",
                usual="Empty: what is usual",
                low=0,
                high=200,
            ),
            Parameter(
                "evaluate_people",
                "People in the evaluation",
                "At most so many, drawn. Fewer make wider intervals.",
                usual="Empty: everybody",
                low=20,
                high=10_000_000,
                is_seldom=True,
            ),
            Parameter(
                "promote_if_first",
                "Go live by itself if it is the catalog’s first model",
                "",
                bool,
                True,
                choices=YES_NO,
                is_seldom=True,
            ),
        ),
    ),
    TrainingRun.Kind.ENCODE: Sheet(
        "Gives every item that is new or changed its vector. What is up to date costs nothing.",
        "manage.py refresh_embeddings {catalog}",
        always=lambda catalog: {"encoder": encoder_settings(catalog)},
    ),
    TrainingRun.Kind.EVALUATE: Sheet(
        "Measures the pipeline beside baselines on what its models have not seen.",
        "manage.py evaluate {catalog}",
        (
            Parameter(
                "what",
                "Question",
                "History, cold start and transfer fit a pipeline; the models’ page draws them.",
                str,
                "",
                choices=(
                    ("", "How good, beside baselines"),
                    *Evaluation.Kind.choices,
                    (WHAT, "What the dials cost"),
                ),
            ),
            SPLIT,
            Parameter(
                "fresh",
                "Fit a pipeline anew",
                "No: the live model is measured, where one is live and the split is by time.",
                bool,
                False,
                choices=YES_NO,
            ),
            Parameter(
                "encoder",
                "Encoder",
                "Another one than the live model’s fits a pipeline anew on its vectors.",
                str,
                "",
                choices=ENCODER.choices,
                more_choices=_learned,
            ),
            Parameter(
                "people",
                "People",
                "Measured, at most; drawn.",
                usual="Empty: everybody",
                low=20,
                high=10_000_000,
            ),
        ),
        option="--{name} {value}",
    ),
    TrainingRun.Kind.PRETRAIN: Sheet(
        "Teaches the language model this catalog’s words, from its texts alone.",
        "manage.py pretrain {catalog}",
        (
            START_FROM,
            *(
                _of(PRETRAINING, *words, **TEXT_LIMITS[words[0]])
                for words in (STEPS, RATE, BATCH, EVERY, ACCUMULATE, PATIENCE)
            ),
            _of(
                Pretraining(),
                "masked",
                "Weight of hidden words",
                "Guess hidden tokens; 0 = without.",
                low=0.0,
                high=10.0,
                is_seldom=True,
            ),
            _of(
                Pretraining(),
                "contrastive",
                "Weight of views",
                "Find the other view of a text; 0 = without.",
                low=0.0,
                high=10.0,
                is_seldom=True,
            ),
            _of(Pretraining(), *TOKENS, **TEXT_LIMITS["max_tokens"]),
            SPLIT,
        ),
    ),
    TrainingRun.Kind.QUANTIZE: Sheet(
        "Makes smaller forms of an encoder, measures each, keeps the fastest that loses next to "
        "nothing.",
        "manage.py quantize {catalog}",
        (ENCODER, SPLIT),
    ),
    TrainingRun.Kind.TUNE: Sheet(
        "Searches for better settings, by trials on the validation fold; never on the test.",
        "manage.py tune {catalog}",
        (
            Parameter(
                "what",
                "What",
                "Whose settings are searched for.",
                str,
                Search.what,
                choices=tuple((name, space.words) for name, space in SPACES.items()),
            ),
            Parameter(
                "only",
                "Only",
                "One part of it.",
                str,
                Search.only,
                choices=(("", "All parts"), *BRANCHES),
                is_seldom=True,
            ),
            Parameter(
                "trials",
                "Trials",
                "At most; those given up early count.",
                usual=f"Empty: {USUAL_TRIALS}, or as many as the minutes allow",
                low=1,
                high=NUMBERS["trials"],
            ),
            Parameter(
                "minutes",
                "Minutes",
                "After so many, no trial begins.",
                usual="Empty: no limit",
                low=1,
                high=NUMBERS["minutes"],
            ),
            Parameter(
                "workers",
                "Processes",
                "That try settings at the same time.",
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
                    "Of each training that is tried, at most.",
                    usual="Empty: what is usual",
                    low=1,
                    high=NUMBERS[name],
                    is_seldom=True,
                )
                for name, label in (
                    ("epochs", "Epochs of the tower"),
                    ("rounds", "Trees"),
                    ("steps", "Steps of fine-tuning"),
                )
            ),
        ),
        together=read_search,
    ),
    TrainingRun.Kind.FINETUNE: Sheet(
        "Teaches the language model what goes with what, from what people pick next.",
        "manage.py finetune {catalog}",
        (
            Parameter("way", "Way", "What of it learns.", str, Finetuning.way, choices=WAYS),
            START_FROM,
            TUNED,
            *(
                _by_way(*words, **TEXT_LIMITS[words[0]])
                for words in (STEPS, RATE, BATCH, EVERY, ACCUMULATE, PATIENCE)
            ),
            _of(
                Finetuning(),
                "history",
                "Texts of a history",
                "The last so many are read while training.",
                low=1,
                high=50,
            ),
            _of(
                Finetuning(),
                "hard",
                "Hard negatives",
                "Texts near to a target that should fit less, a batch.",
                low=0,
                high=256,
                is_seldom=True,
            ),
            _of(
                Finetuning(),
                "temperature",
                "Temperature",
                "Lower tells near texts apart more sharply.",
                low=0.005,
                high=1.0,
                is_seldom=True,
            ),
            _of(
                Finetuning(),
                "rank",
                "Rank",
                "Size of LoRA’s additions.",
                low=1,
                high=256,
                is_seldom=True,
            ),
            _of(Finetuning(), "crop", "Crop", "Chance to hide the newest part.", **CHANCE),
            _of(Finetuning(), "drop", "Drop", "Chance to hide each item of a history.", **CHANCE),
            _of(Finetuning(), "reorder", "Reorder", "Chance to shuffle a history.", **CHANCE),
            _of(Finetuning(), "word_drop", "Drop words", "Chance to hide each token.", **CHANCE),
            _of(Finetuning(), *TOKENS, **TEXT_LIMITS["max_tokens"]),
            SPLIT,
        ),
    ),
    TrainingRun.Kind.DISTILL: Sheet(
        "A cross-encoder and an ensemble teach personal model and tower; the live model with a "
        "student that surely pays is registered.",
        "manage.py distill {catalog}",
        (
            _of(
                Distillation(),
                "design",
                "The personal model reads",
                "Its design.",
                choices=DESIGNS,
            ),
            SPLIT,
            Parameter(
                "encoder",
                "Encoder",
                "On another split than by time: on whose vectors a pipeline is fitted.",
                str,
                "",
                choices=ENCODER.choices,
                more_choices=_learned,
                is_seldom=True,
            ),
            *(_taught(*words) for words in TAUGHT),
            *(
                _of(TEACHER, *words, **TEXT_LIMITS[words[0]])
                for words in (STEPS, RATE, BATCH, EVERY, ACCUMULATE, PATIENCE)
            ),
        ),
    ),
}
