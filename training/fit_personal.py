"""⑫ The personal model: which design of it is best, and whether that pays its way.

It learns from the validation fold, the only requests that the rankers have not learned from, so
that the order it starts from is hardly better than it will be in service (what was chosen on that
fold, such as shares, makes it a little better). Whether a design pays is told by
cross-fitting: people are dealt into groups, and each group's lists are re-ordered by a network that
has learned from the others. The best design then learns from all groups. It is switched on where
the interval of what it gains lies above 0 (one that holds for all designs together, since the best
is taken); otherwise the ranker's order stands.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ranking import features
from ranking.features import recent_rows
from ranking.personalizer import (
    DESIGNS,
    HEAD,
    PERSONAL,
    PersonalConfig,
    Personalizer,
    PersonalNetwork,
)
from ranking.pipeline import Trace, rank
from ranking.rankers.examples import HISTORY, Examples, Rows
from ranking.sources import union
from ranking.state import RankingState
from ranking.types import FloatArray, IntArray, InteractionLog
from training import metrics
from training.handle import RunHandle
from training.losses import listwise
from training.negatives import NO_EXAMPLES, example_of
from training.scoring import padded
from training.splits import QUERY, Fold, PastRequest, context_of, drawn
from training.text_training import rise_and_fall
from training.words import Words, words_of

NAMES = features.names(union.NAMES)
REQUESTS = 2_000  # of the validation fold
LEAST_REQUESTS = 100  # to learn from
TIMED = 10  # heads, the longest ones
GROUPS = 4  # of people, each re-ordered by what the others taught
CUT = 10
WARM_UP = 0.1  # share of the steps in which the learning rate rises


@dataclass(frozen=True)
class PersonalTraining:
    """How a personal model is trained."""

    epochs: int = 3
    batch: int = 32  # requests
    learning_rate: float = 5e-4
    weight_decay: float = 1e-2
    seed: int = 0  # added to the run's: members of an ensemble differ in it


@dataclass(frozen=True)
class Heads:
    """The first HEAD candidates of past requests, in the ranker's order."""

    examples: Examples
    users: IntArray  # (R,)
    picked: IntArray  # (R,) how many items each request picked, in the head or not
    requests: list[PastRequest] = field(default_factory=list)  # R, where they were asked

    def ndcg(self, orders: list[FloatArray]) -> NDArray[np.float64]:
        """nDCG@10 of the heads, each ordered by these scores. (R,)"""
        labels = np.split(self.examples.labels, np.cumsum(self.examples.groups)[:-1])
        ranks = []
        for scores, label, count in zip(orders, labels, self.picked.tolist(), strict=True):
            place = np.empty(len(scores), dtype=np.int64)
            place[np.argsort(-scores, kind="stable")] = np.arange(len(scores))
            missed = np.full(count - int(label.sum()), HEAD + CUT)
            ranks.append(np.concatenate([place[label > 0], missed]))
        return metrics.ndcg(padded(ranks), CUT)

    def in_order(self) -> list[FloatArray]:
        """Scores that leave the ranker's order as it is, an array a request."""
        return [-np.arange(count, dtype=np.float32) for count in self.examples.groups]

    def people(self) -> IntArray:
        """Who asked, numbered from 0. (R,)"""
        return np.unique(self.users, return_inverse=True)[1]

    def dealt(self, groups: int, seed: int) -> IntArray:
        """The group, 0 … groups − 1, that each request's person is dealt into. (R,)"""
        people = self.people()
        return (np.random.default_rng(seed).permutation(people.max() + 1) % groups)[people]


def heads_of(
    handle: RunHandle, then: RankingState, log: InteractionLog, fold: Fold, most: int = REQUESTS
) -> Heads:
    """The heads of a fold's requests, as the pipeline ranks them; `then` is as of the fold.

    Asked as for a page, so that sources bring what they bring there, and no more.
    """
    parts, users, picked, asked = [], [], [], []
    for request in drawn(fold.requests, most, handle.seed):
        handle.check()
        context = context_of(log, request)
        ranked = rank(then, context, QUERY, Trace())
        if len(ranked):
            head = ranked.keep(np.arange(min(HEAD, len(ranked))))
            rows = Rows(head.features, head.rows, recent_rows(context, HISTORY))
            parts.append(example_of(rows, np.isin(head.rows, request.picked), request))
            users.append(request.user_id)
            picked.append(len(request.picked))
            asked.append(request)
    examples = Examples.joined(parts) if parts else NO_EXAMPLES
    counts = np.array(picked, dtype=np.int64)
    return Heads(examples, np.array(users, dtype=np.int64), counts, asked)


@dataclass(frozen=True)
class HeadBatch:
    """Heads side by side; candidates are padded to the longest."""

    inputs: tuple[Tensor, ...]  # as PersonalNetwork.forward reads them
    labels: Tensor  # (B, N)
    real: Tensor  # (B, N) false for the padding
    place: IntArray  # (B, N) rows of the examples


Order = Callable[[int], FloatArray]  # the number of a head → scores of its candidates
Loss = Callable[[Tensor, HeadBatch], Tensor]  # of a batch's logits (B, N); a scalar


def by_labels(logits: Tensor, batch: HeadBatch) -> Tensor:
    """The loss where nothing but what was picked is learned from."""
    return listwise(logits, batch.labels, batch.real)


def batches(
    model: Personalizer, examples: Examples, columns: list[int], size: int, order: IntArray
) -> Iterator[HeadBatch]:
    """The heads in this order, so many at once."""
    stops = np.cumsum(examples.groups)
    starts = stops - examples.groups
    for begin in range(0, len(order), size):
        chosen = order[begin : begin + size]
        place = starts[chosen, None] + np.arange(examples.groups[chosen].max())  # (B, N)
        real = place < stops[chosen, None]
        place = np.where(real, place, starts[chosen, None])
        rows = torch.from_numpy(examples.features[place][..., columns])
        inputs = model.inputs(examples.items[place], examples.histories[chosen])
        labels = torch.from_numpy(examples.labels[place] * real)
        yield HeadBatch((rows, *inputs), labels, torch.from_numpy(real), place)


def fit_design(
    handle: RunHandle,
    config: PersonalConfig,
    state: RankingState,
    words: Words,
    examples: Examples,
    training: PersonalTraining,
    loss_of: Loss = by_labels,
) -> Personalizer:
    """A network of this design that has learned from these heads."""
    seed = handle.seed + training.seed
    torch.manual_seed(seed)
    network = PersonalNetwork(config)
    columns = [NAMES.index(name) for name in config.features]
    network.standardise(examples.features[:, columns])
    if config.design == "tokens":
        network.words[: len(words.vectors)] = torch.from_numpy(words.vectors)
    model = Personalizer(network, NAMES, _vectors(state), words.rows)
    optimiser = torch.optim.AdamW(
        network.parameters(), training.learning_rate, weight_decay=training.weight_decay
    )
    requests = len(examples.groups)
    steps = training.epochs * -(-requests // training.batch)
    fading = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda number: rise_and_fall(number, steps, WARM_UP)
    )
    network.train()
    for epoch in range(training.epochs):
        order = np.random.default_rng(seed + epoch).permutation(requests)
        for batch in batches(model, examples, columns, training.batch, order):
            handle.check()
            loss = loss_of(network(*batch.inputs), batch)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            fading.step()
    network.eval()
    return model


def _vectors(state: RankingState) -> FloatArray:
    if state.tower_items is None:
        return np.zeros((len(state.items), 0), dtype=np.float32)
    return state.tower_items


def designs(state: RankingState, words: Words) -> list[str]:
    """Those that have something to read."""
    there = {"attention": state.tower_items is not None, "tokens": len(words.vectors) > 0}
    return [name for name in DESIGNS if there.get(name, True)]


def config_for(design: str, state: RankingState, words: Words) -> PersonalConfig:
    """The shape of a design for a catalog; it reads the features that its trees may read."""
    left_out = features.PASSING if state.repeat_consumption else ()
    return PersonalConfig(
        design,
        tuple(name for name in NAMES if not name.startswith(left_out)),
        _vectors(state).shape[1],
        len(words.vectors),
        words.vectors.shape[1],
    )


def cross_fitted(
    handle: RunHandle, heads: Heads, fit: Callable[[Examples], Personalizer]
) -> tuple[list[FloatArray], float]:
    """The scores of each head by a model that has learned from the other groups of people.

    And the ms that the last of the models takes for a head.
    """
    group = heads.dealt(GROUPS, handle.seed)
    scores, every = heads.in_order(), heads.examples.requests()
    for number in range(GROUPS):
        held = np.flatnonzero(group == number)
        model = fit(heads.examples.keep(group != number))
        for request in held.tolist():
            scores[request] = model.logits(every[request])
    return scores, head_ms(lambda head: model.logits(every[head]), heads)


def head_ms(order: Order, heads: Heads) -> float:
    """Median time of ordering one head, of the longest ones, by the threads that are set."""
    longest = np.argsort(-heads.examples.groups, kind="stable")[:TIMED].tolist()
    order(longest[0])  # what only the first call does
    took = []  # seconds
    for head in longest:
        began = time.perf_counter()
        order(head)
        took.append(time.perf_counter() - began)
    return 1e3 * statistics.median(took)


def fit_personalizer(
    handle: RunHandle,
    then: RankingState,
    log: InteractionLog,
    fold: Fold,
    training: PersonalTraining = PersonalTraining(),
) -> RankingState:
    """The state with the design that does best, switched on where that surely pays.

    `then` is the state as of the validation fold, with rankers that have not learned from it. Where
    requests are too few to learn from, it stays as it is.
    """
    handle.stage(PERSONAL, 0.8)
    heads = heads_of(handle, then, log, fold)
    if len(heads.picked) < LEAST_REQUESTS:
        handle.log(f"Personal model: none, {len(heads.picked)} requests are too few to learn from")
        return then
    model, pays = choose_design(handle, heads, then, words_of(then.items), training)
    return replace(then, personalizer=model, personal_on=pays)


def choose_design(
    handle: RunHandle,
    heads: Heads,
    then: RankingState,
    words: Words,
    training: PersonalTraining = PersonalTraining(),
) -> tuple[Personalizer, bool]:
    """The design whose cross-fitted gain is most surely above 0, learned from all; if it is."""

    def learner(config: PersonalConfig) -> Callable[[Examples], Personalizer]:
        return lambda examples: fit_design(handle, config, then, words, examples, training)

    usual = heads.ndcg(heads.in_order())
    configs = [config_for(design, then, words) for design in designs(then, words)]
    level = metrics.level_of_each(len(configs))
    lows = []
    for config in configs:
        scores, took = cross_fitted(handle, heads, learner(config))
        gain = heads.ndcg(scores) - usual
        low, high = metrics.bootstrap_interval(gain, level=level, clusters=heads.people())
        handle.log(
            f"Personal model, {config.design}: nDCG@10 {usual.mean():.4f} → "
            f"{(usual + gain).mean():.4f}, {gain.mean():+.4f} [{low:+.4f}, {high:+.4f}], "
            f"{took:.1f} ms for a head of {heads.examples.groups.max()}"
        )
        lows.append(low)
    best, pays = configs[int(np.argmax(lows))], max(lows) > 0
    off = "" if pays else "; switched off, none is surely better than the rankers' order"
    handle.log(f"Personal model: {best.design}{off}")
    return learner(best)(heads.examples), pays
