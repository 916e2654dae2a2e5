"""A cross-encoder: reads the titles of someone's last picks and a candidate's text side by side.

"titles of the last picks [SEP] text of the candidate" → one logit, from the pooled state of the
catalog's encoder, whose upper layers learn (Nogueira & Cho 2019, arXiv:1901.04085), with the
ranker's order as a prior: logit = α · −log(1 + place) + w · state. It reads each pair anew, so it
is far too slow to serve: training/distill.py lets the models that are served learn from it.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase

from ranking.device import best_device
from ranking.encoder import config_of, pad
from ranking.item_index import ItemIndex
from ranking.rankers.examples import Examples, Rows
from ranking.text_model import TextModel, load_text_model, load_tokenizer
from ranking.types import FloatArray, IntArray
from training.checkpoint import fingerprint
from training.course import Course, Verdicts
from training.distill_config import TeacherShape
from training.encoders import original_of
from training.handle import RunHandle
from training.losses import listwise
from training.splits import BoolArray
from training.text_config import TextTraining
from training.text_training import learn, mixed_precision, places_of
from training.variants import stack_of
from training.words import texts_of

HELD = 8  # one person in so many stops the teacher early
AT_ONCE = 64  # pairs read together while scoring
PART = (0.4, 0.35)  # of a run's progress: where teaching begins, and how long it is


class CrossEncoder(nn.Module):
    """Pairs of texts, and their places in the ranker's order → one logit a pair."""

    def __init__(self, model: TextModel, layers: int) -> None:
        super().__init__()
        self.model = model
        model.projection = None  # it leads to vectors; here the states are read
        size = int(model.transformer.config.hidden_size)
        self.judge = nn.Linear(size, 1, bias=False)
        self.drop = nn.Dropout(0.1)
        nn.init.zeros_(self.judge.weight)  # before it has learned, the ranker's order stands
        self.trust = nn.Parameter(torch.tensor(1.0))  # α
        found = stack_of(model)
        if found is not None:
            parent, name = found
            model.requires_grad_(False)
            for layer in list(getattr(parent, name))[-layers:]:
                layer.requires_grad_(True)

    def forward(self, ids: Tensor, mask: Tensor, places: Tensor) -> Tensor:
        """Ids and mask (P, T), places (P,) → (P,)"""
        with mixed_precision():
            states = self.model.transformer(ids, attention_mask=mask).last_hidden_state
        pooled = self.model.pool(states.float(), mask)  # (P, H)
        scaled = nn.functional.layer_norm(pooled, pooled.shape[1:])
        judged = self.judge(self.drop(scaled)).squeeze(-1)  # (P,)
        logits: Tensor = judged - self.trust * torch.log1p(places)
        return logits


class Teacher:
    """A cross-encoder over a catalog's texts."""

    def __init__(self, items: ItemIndex, shape: TeacherShape) -> None:
        config = config_of(original_of(items.encoder) if items.encoder else None)
        self.network = CrossEncoder(load_text_model(config, torch.float32), shape.layers)
        self.network.to(best_device()).eval()
        self.tokenizer: PreTrainedTokenizerBase = load_tokenizer(config)
        self.shape, self.codes = shape, items.text_codes
        self.texts = texts_of(items)  # (U,)
        self.titles = [text.partition("\n")[0] for text in self.texts]

    def read(self, rows: Rows, chosen: IntArray) -> list[list[int]]:
        """The tokens of these candidates of a request, each behind the titles of the history."""
        recent = self.codes[rows.history[: self.shape.history]].tolist()
        history = "; ".join(self.titles[code] for code in recent)
        texts = [self.texts[code] for code in self.codes[rows.items[chosen]].tolist()]
        found: list[list[int]] = self.tokenizer(
            [history] * len(texts), texts, truncation=True, max_length=self.shape.max_tokens
        )["input_ids"]
        return found

    def judge(self, tokens: list[list[int]], places: IntArray) -> Tensor:
        """The logit of each pair, from its tokens and its place. (P,)"""
        ids, mask = pad(tokens, int(self.tokenizer.pad_token_id or 0))
        where = torch.from_numpy(places).float()
        device = best_device()
        logits: Tensor = self.network(ids.to(device), mask.to(device), where.to(device))
        return logits.cpu()

    @torch.inference_mode()
    def logits(self, rows: Rows, chosen: IntArray) -> FloatArray:
        """Of these candidates of a request, in the ranker's order; higher is better. (C,)"""
        tokens = self.read(rows, chosen)
        parts = [
            self.judge(tokens[start : start + AT_ONCE], chosen[start : start + AT_ONCE])
            for start in range(0, len(chosen), AT_ONCE)
        ]
        return np.asarray(torch.cat(parts).numpy(), dtype=np.float32)


def drawn_candidates(examples: Examples, most: int, seed: int) -> list[IntArray]:
    """Of each head, whom a teacher is asked about: picks and hard negatives. G × (C,), ascending

    Picks are half at most; the others are drawn, upper places more often: these are the hard ones.
    """
    generator = np.random.default_rng(seed)
    found = []
    for label in np.split(examples.labels, np.cumsum(examples.groups)[:-1]):
        picked = generator.permutation(np.flatnonzero(label > 0))[: max(most // 2, 1)]
        passed = np.flatnonzero(label == 0)
        share = 1.0 / (1.0 + passed)
        count = min(most - len(picked), len(passed))
        others = generator.choice(passed, count, replace=False, p=share / share.sum())
        found.append(np.sort(np.concatenate([picked, others])))
    return found


class TeacherTask:
    """Heads to learn from and heads that stop it early: the loss and the quality of a teacher."""

    def __init__(
        self,
        teacher: Teacher,
        examples: Examples,
        drawn: list[IntArray],
        held: BoolArray,
        training: TextTraining,
        seed: int,
    ) -> None:
        self.teacher, self.drawn = teacher, drawn
        self.batch, self.seed = training.batch, seed
        self.rows = examples.requests()
        self.labels = np.split(examples.labels, np.cumsum(examples.groups)[:-1])
        told = examples.with_picks()  # others teach a teacher nothing
        self.known, self.held = np.flatnonzero(told & ~held), np.flatnonzero(told & held)

    def loss_of(self, number: int) -> Tensor:
        """The listwise loss of one batch of heads."""
        places = places_of(number, len(self.known), self.batch, self.seed)
        return self._loss(self.known[places])

    @torch.no_grad()
    def quality_of(self) -> float:
        """The loss over the heads that are held out, negative; 0 where there are none."""
        if len(self.held) == 0:
            return 0.0
        parts = np.array_split(self.held, -(-len(self.held) // self.batch))
        return -sum(float(self._loss(part)) * len(part) for part in parts) / len(self.held)

    def _loss(self, heads: IntArray) -> Tensor:
        chosen = [self.drawn[head] for head in heads]
        tokens = [
            row
            for head, some in zip(heads, chosen, strict=True)
            for row in self.teacher.read(self.rows[head], some)
        ]
        flat = self.teacher.judge(tokens, np.concatenate(chosen))  # (P,)
        sizes = [len(some) for some in chosen]
        logits = pad_sequence(list(torch.split(flat, sizes)), batch_first=True)  # (B, C)
        labels = [
            torch.from_numpy(self.labels[head][some])
            for head, some in zip(heads, chosen, strict=True)
        ]
        real = torch.arange(logits.shape[1]) < torch.tensor(sizes).unsqueeze(1)
        return listwise(logits, pad_sequence(labels, batch_first=True), real)


def fit_teacher(
    handle: RunHandle,
    name: str,
    items: ItemIndex,
    examples: Examples,
    people: IntArray,
    drawn: list[IntArray],
    shape: TeacherShape,
    training: TextTraining,
) -> Teacher:
    """A teacher that has learned from these heads; people (G,) who asked, `name` its checkpoint's.

    A killed training goes on from its checkpoint.
    """
    torch.manual_seed(handle.seed)
    teacher = Teacher(items, shape)
    told = np.unique(people[examples.with_picks()])
    stops = np.random.default_rng(handle.seed).permutation(told)[: -(-len(told) // HELD)]
    held = np.isin(people, stops)
    task = TeacherTask(teacher, examples, drawn, held, training, handle.seed)
    learning = sum(part.numel() for part in teacher.network.parameters() if part.requires_grad)
    handle.log(
        f"{name}: {len(task.known):,} heads with picks to learn from, {len(task.held):,} to stop "
        f"by; {learning:,} weights learn"
    )
    if len(task.known):
        made_for = fingerprint(
            *(items.ids, items.text_codes, items.text_vectors, shape),
            *(examples.items, examples.groups, examples.labels, people),
        )
        learn(handle, teacher.network, training, task.loss_of, task.quality_of, name, made_for)
    return teacher


def cross_encoder_verdicts(
    handle: RunHandle,
    course: Course,
    items: ItemIndex,
    shape: TeacherShape,
    training: TextTraining,
) -> Verdicts:
    """A teacher of each group, and what it makes of the heads: its own in depth, a draw of others.

    What is done is kept on disk: a run that was killed goes on behind it, where heads, items and
    settings are still the same.
    """
    drawn = drawn_candidates(course.examples, shape.candidates, handle.seed)
    made_for = fingerprint(
        *(items.ids, items.text_codes, items.text_vectors, shape, training, handle.seed),
        *(course.examples.items, course.examples.groups, course.examples.labels, course.group),
    )
    found = []
    for group in course.groups:
        name = f"teacher-{group + 1}"
        path = handle.folder / f"{name}-{made_for[:16]}.npy"
        if not path.exists():
            learn = course.learners(group, labelled=True)
            begin, end = (PART[0] + PART[1] * (group + end) / len(course.groups) for end in (0, 1))
            with handle.part(begin, end):
                teacher = fit_teacher(
                    handle,
                    name,
                    items,
                    course.examples.keep(learn),
                    course.users[learn],
                    [drawn[head] for head in np.flatnonzero(learn)],
                    shape,
                    training,
                )
            verdict = _verdict(handle, teacher, course, group, drawn)
            staging = path.with_name(f"new-{path.name}")
            np.save(staging, verdict)
            staging.rename(path)
        found.append(np.load(path))
    return found


def _verdict(
    handle: RunHandle, teacher: Teacher, course: Course, group: int, drawn: list[IntArray]
) -> FloatArray:
    """The logits of a group's heads in depth, and of those drawn from the others. (M,)"""
    parts = []
    for head, rows in enumerate(course.rows):
        handle.check()
        asked = drawn[head]
        if course.group[head] == group:
            asked = np.arange(min(len(rows.items), teacher.shape.depth))
        part = np.full(len(rows.items), np.nan, dtype=np.float32)
        part[asked] = teacher.logits(rows, asked)
        parts.append(part)
    return np.concatenate(parts)
