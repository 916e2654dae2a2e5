"""What a search for better settings may change, and how much of it a run asks for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from training.errors import TrainingFault

MOST_TRIALS, MOST_MINUTES, MOST_WORKERS = 1_000, 7 * 24 * 60, 64
USUAL_TRIALS = 20  # where neither trials nor minutes are said


@dataclass(frozen=True)
class Dimension:
    """One setting: a field of a configuration, and what it may be."""

    name: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False  # drawn by its order of magnitude
    whole: bool = False
    choices: tuple[str | int, ...] = ()  # instead of low … high

    @property
    def words(self) -> str:
        """Its name as people write it."""
        return self.name.replace("_", " ")

    @property
    def values(self) -> str:
        """What it may be, in words."""
        if self.choices:
            return ", ".join(map(str, self.choices))
        return f"{self.low:g} – {self.high:g}"


@dataclass(frozen=True)
class Branch:
    """Settings that belong together; what a trial draws."""

    name: str
    words: str
    warm_up: int  # reports of its curve before a trial may be pruned
    dimensions: tuple[Dimension, ...]


@dataclass(frozen=True)
class Space:
    """Branches of which each trial takes one."""

    what: str
    words: str
    branches: tuple[Branch, ...]

    def branch(self, name: str) -> Branch:
        """The branch of this name."""
        return next(branch for branch in self.branches if branch.name == name)


DECAY = Dimension("weight_decay", 1e-6, 0.1, log=True)
EPOCHS = Dimension("epochs", 2, 12, whole=True)
RANK = Dimension("rank", 4, 64, log=True, whole=True)
CONTRAST = (  # of Finetuning
    Dimension("temperature", 0.02, 0.3, log=True),
    Dimension("history", 1, 12, whole=True),
    Dimension("hard", 0, 64, whole=True),
)

SPACES = {
    space.what: space
    for space in (
        Space(
            "ranker",
            gettext_noop("the rankers: trees and networks"),
            (
                Branch(
                    "trees",
                    gettext_noop("trees"),
                    6,  # of five trees each
                    (
                        Dimension("objective", choices=("rank:ndcg", "binary:logistic")),
                        Dimension("learning_rate", 0.01, 0.3, log=True),
                        Dimension("depth", 2, 8, whole=True),
                        Dimension("min_child_weight", 1.0, 200.0, log=True),
                        Dimension("reg", 0.1, 100.0, log=True),
                        Dimension("row_share", 0.4, 1.0),
                        Dimension("column_share", 0.3, 1.0),
                    ),
                ),
                Branch(
                    "fm",
                    gettext_noop("factorisation machine"),
                    2,  # epochs
                    (Dimension("learning_rate", 3e-4, 0.02, log=True), DECAY, RANK, EPOCHS),
                ),
                Branch(
                    "dcn",
                    gettext_noop("deep and cross network"),
                    2,
                    (
                        Dimension("learning_rate", 3e-4, 0.02, log=True),
                        DECAY,
                        RANK,
                        Dimension("hidden", 16, 256, log=True, whole=True),
                        Dimension("crosses", 1, 3, whole=True),
                        EPOCHS,
                    ),
                ),
            ),
        ),
        Space(
            "tower",
            gettext_noop("the user tower"),
            (
                Branch(
                    "tower",
                    gettext_noop("user tower"),
                    4,  # epochs
                    (
                        Dimension("learning_rate", 3e-4, 0.01, log=True),
                        Dimension("weight_decay", 1e-4, 0.1, log=True),
                        Dimension("width", choices=(32, 64, 128)),
                        Dimension("layers", 1, 4, whole=True),
                        Dimension("dropout", 0.0, 0.5),
                        Dimension("id_dropout", 0.0, 0.7),
                        Dimension("length", 20, 200, log=True, whole=True),
                    ),
                ),
            ),
        ),
        Space(
            "encoder",
            gettext_noop("the fine-tuning of the encoder"),
            (
                Branch(
                    "projection",
                    gettext_noop("projection"),
                    2,  # validations
                    (Dimension("learning_rate", 1e-4, 0.01, log=True), *CONTRAST),
                ),
                Branch(
                    "lora",
                    "LoRA",
                    2,
                    (Dimension("learning_rate", 5e-5, 5e-3, log=True), *CONTRAST, RANK),
                ),
            ),
        ),
    )
}
BRANCHES = {branch.name: branch for space in SPACES.values() for branch in space.branches}


@dataclass(frozen=True)
class Search:
    """What a run searches for, and its budget."""

    what: str = "ranker"
    only: str = ""  # one of the branches; '' for all
    split: str = "time"
    trials: int = USUAL_TRIALS  # pruned ones included
    minutes: int | None = None  # after so many, pauses left out, no trial begins
    workers: int = 1  # processes
    encoder: str = ""  # see choose_encoder
    # limits of each training that is tried; None: as usual
    epochs: int | None = None  # of the tower
    rounds: int | None = None  # trees
    steps: int | None = None  # of fine-tuning

    @property
    def space(self) -> Space:
        """What may be changed."""
        return SPACES[self.what]

    @property
    def branches(self) -> tuple[Branch, ...]:
        """Those of the space that are asked for."""
        return (self.space.branch(self.only),) if self.only else self.space.branches


WORDS = ("what", "only", "split", "encoder")
NUMBERS = {
    "trials": MOST_TRIALS,
    "minutes": MOST_MINUTES,
    "workers": MOST_WORKERS,
    "epochs": 1_000,
    "rounds": 10_000,
    "steps": 1_000_000,
}


def read_search(parameters: Mapping[str, Any]) -> Search:
    """A run's parameters, as people said them.

    Raises
    ------
    TrainingFault
        One that nothing reads, or a value that cannot be; says what can.
    """
    unknown = sorted(set(parameters) - {*WORDS, *NUMBERS})
    if unknown:
        parts = {"unknown": ", ".join(unknown), "known": ", ".join([*WORDS, *NUMBERS])}
        raise TrainingFault(_("A search has no parameter %(unknown)s; it has %(known)s.") % parts)
    told: dict[str, Any] = {name: str(parameters[name]) for name in WORDS if name in parameters}
    told |= {name: _number(name, parameters[name]) for name in NUMBERS if name in parameters}
    if "minutes" in told:
        told.setdefault("trials", MOST_TRIALS)
    search = Search(**told)
    if search.what not in SPACES:
        text = _("Nothing is called %(what)r here; say %(known)s.")
        raise TrainingFault(text % {"what": search.what, "known": ", ".join(SPACES)})
    names = [branch.name for branch in search.space.branches]
    if search.only and search.only not in names:
        text = _("only=%(only)s is no part of %(what)s; say %(known)s.")
        parts = {"only": search.only, "what": search.what, "known": ", ".join(names)}
        raise TrainingFault(text % parts)
    return search


def _number(name: str, value: Any) -> int:
    text = str(value).strip()
    if not text.isdecimal() or not 1 <= int(text) <= NUMBERS[name]:
        fault = _("%(name)s must be a whole number from 1 to %(most)s.")
        raise TrainingFault(fault % {"name": name, "most": f"{NUMBERS[name]:,}"})
    return int(text)
