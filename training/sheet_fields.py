"""The fields that forms of several kinds of runs share, and those of what is taught: for sheets.py.

Nothing here imports torch.
"""

from typing import Any

from django.utils.translation import gettext_noop as _

from catalog.models import Catalog
from training.distill_config import Distillation
from training.parameters import Choices, Parameter
from training.search_space import BRANCHES
from training.text_config import FINETUNING

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


def learned_encoders(catalog: Catalog) -> Choices:
    """The encoders that the catalog has learned, newest first."""
    found = catalog.encoders.order_by("-pk")
    return tuple((one.digest, f"{one.digest[:8]}, {one.way}") for one in found)


def field_of(config: Any, name: str, label: str, help_: str = "", **limits: Any) -> Parameter:
    """A field of a configuration, with its kind and its default."""
    default = getattr(config, name)
    return Parameter(name, label, help_, type(default), default, **limits)


def field_by_way(name: str, label: str, help_: str, **limits: Any) -> Parameter:
    """A field whose default depends on the way of fine-tuning."""
    values = {way: getattr(config, name) for way, config in FINETUNING.items()}
    usual = ", ".join(f"{way} {value:g}" for way, value in values.items())
    kind = type(values["full"])
    told = _("Empty: %(values)s")
    return Parameter(name, label, help_, kind, None, told, {"values": usual}, **limits)


def field_taught(name: str, label: str, help_: str, low: float, high: float) -> Parameter:
    """A field of a distillation; all but its size are folded away."""
    seldom = name not in {"requests", "unlabelled"}
    return field_of(Distillation(), name, label, help_, low=low, high=high, is_seldom=seldom)


ENCODER = Parameter(
    "encoder",
    _("Encoder"),
    _("The language model that reads the items."),
    str,
    "",
    choices=(("", _("The live model’s")), AS_DOWNLOADED),
    more_choices=learned_encoders,
)
START_FROM = Parameter(
    "encoder",
    _("Start from"),
    _("The encoder whose weights are trained further."),
    str,
    AS_DOWNLOADED[0],
    choices=(AS_DOWNLOADED,),
    more_choices=learned_encoders,
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
