"""Distillation: what a cross-encoder and an ensemble know, learned by models fast enough to serve.

The rankers of a live model have learned from the validation fold, so its heads would be ordered
better than any that comes. Therefore a run fits rankers of its own on the folds before validation,
as fit_ranker.py does to choose its rankers; the tower, which takes longest and has not learned from
that fold, is the live model's, and so are the recipes of the tables, though chosen on it. On any
split but `time` they are fitted anew, and nothing is registered: this is for measuring.

Who teaches whom: training/teacher.py, students.py, tower_student.py; what is measured, by
cross-fitting over groups of people: distill_measure.py. The final student learns, of each head,
from the teacher that has not seen its labels.
"""

import shutil
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from catalog.models import Catalog
from ranking.bundle import Bundle, open_bundle, write_bundle
from ranking.device import one_thread
from ranking.item_index import ItemIndex
from ranking.loading import rows_in_tower
from ranking.personalizer import DESIGNS, NO_TOKEN, Personalizer
from ranking.state import RankingState
from ranking.types import IntArray, InteractionLog
from training.course import Course, visitors
from training.distill_config import TEACHER, Distillation
from training.distill_measure import Compared, Measured, compare, table
from training.encoders import refuse_leak
from training.errors import TrainingFault
from training.evaluation import bundle_of_run, evaluate_state, live_pipeline, prepare
from training.fit import Limits, fit_sources
from training.fit_personal import (
    LEAST_REQUESTS,
    PersonalTraining,
    config_for,
    designs,
    heads_of,
)
from training.fit_ranker import RankerLimits, compare_rankers, examples_of, settled
from training.handle import RunHandle
from training.learned import from_parameters
from training.leases import fenced
from training.registry import register
from training.rehearsal import tried
from training.report import by_name
from training.report import table as table_of_evaluation
from training.splits import Split
from training.students import Students
from training.teacher import Teacher, cross_encoder_verdicts
from training.text_config import TextTraining
from training.words import Words, words_of

PERSONALIZER = "personalizer.safetensors"


@dataclass(frozen=True)
class Ground:
    """What a distillation stands on."""

    sources: RankingState  # tower and tables; of a live model, all of it
    log: InteractionLog
    split: Split
    id_rows: IntArray  # (I,) rows of the tower's id vectors
    live: Bundle | None = None  # that a student would be served with


def distill(handle: RunHandle) -> None:
    """Teach, measure, and register the live model with the best student if it surely pays.

    Parameters of the run: the fields of `Distillation` and, for the cross-encoder, `TextTraining`;
    `split`; `encoder`, on whose vectors a pipeline is fitted where no live model is taken.

    Raises
    ------
    TrainingFault
        An unknown parameter, no live model, or too little feedback; says what to do.
    """
    wanted, training, told = from_parameters(handle.parameters, Distillation(), TEACHER)
    if wanted.design not in DESIGNS:
        raise TrainingFault(f"There is no design {wanted.design!r}; say {', '.join(DESIGNS)}.")
    with handle.part(0.0, 0.3):
        ground = _ground(handle, wanted, told)
    with handle.part(0.3, 0.4):
        then = _rankers(handle, ground, wanted)
    with one_thread():
        course = _course(handle, then, ground, wanted)
    students = _students(handle, then, ground, course, wanted)
    judged = cross_encoder_verdicts(handle, course, then.items, wanted, training)
    with handle.part(0.75, 0.85), one_thread():
        slow = Teacher(then.items, wanted)  # one that has learned takes as long
        compared = compare(students, judged, slow, wanted.members)
        people = course.heads.people()
        _tell(handle, compared, people)
        best, pays = _best(compared, people)
        everybody = np.ones(len(course.group), dtype=bool)
        verdict = course.unseen(compared.teachers[best.name].verdicts)
        student = students.personal_model(verdict, everybody)
    facts = {"student": best.name, "table": [row.told(people) for row in compared.rows]}
    base = ground.sources if ground.live is not None else then
    with one_thread():
        state = replace(base, personalizer=student, personal_on=pays)
        metrics = _measured(handle, ground, state, wanted.evaluate_people)
        if not pays or ground.live is None:
            handle.log(_why_none(best, pays, ground.split))
            return
        facts = asdict(wanted) | facts
        _publish(handle, ground.live, state.items, student, students.words, facts, metrics)


def _tell(handle: RunHandle, compared: Compared, people: IntArray) -> None:
    """The table in the run's log, and its figures with the run's metrics."""
    for line in table(compared.rows, people):
        handle.log(line)
    for row in compared.rows:
        handle.metric(f"{row.name}/ndcg@10", 0, float(row.ndcg.mean()))
        handle.metric(f"{row.name}/ms", 0, row.ms)


def _students(
    handle: RunHandle, then: RankingState, ground: Ground, course: Course, wanted: Distillation
) -> Students:
    """The students as the parameters want them.

    Raises
    ------
    TrainingFault
        The design reads something that this catalog lacks.
    """
    words = words_of(then.items)
    if wanted.design not in designs(then, words):
        known = ", ".join(designs(then, words))
        raise TrainingFault(f"The design {wanted.design} has nothing to read here; say {known}.")
    return Students(
        handle,
        course,
        then,
        ground.log,
        ground.id_rows,
        words,
        config_for(wanted.design, then, words),
        PersonalTraining(epochs=wanted.personal_epochs),
        TextTraining(wanted.tower_steps, wanted.tower_rate, every=max(wanted.tower_steps // 4, 1)),
        wanted.alpha,
        wanted.temperature,
    )


def _ground(handle: RunHandle, wanted: Distillation, told: dict[str, str]) -> Ground:
    """The live model's sources, or, on another split than `time`, new ones."""
    catalog, split_name = handle.catalog, told.get("split", "time")
    if split_name != "time":
        items, log, split = prepare(handle, split_name, told.get("encoder", ""))
        limits = Limits(epochs=wanted.epochs or None)
        sources = fit_sources(handle, catalog, items, log, split, limits)
        return Ground(sources, log, split, np.arange(len(items)))
    live = bundle_of_run(handle)
    if not live:
        raise TrainingFault(
            f"{catalog.name} has no live model that could learn from a teacher: train one first "
            f"(manage.py train {catalog.slug}), or only measure (--param split=leave-last-5)."
        )
    if told.get("encoder"):
        raise TrainingFault(
            "On the split time the live model's own encoder is used: leave out encoder, or only "
            "measure (--param split=leave-last-5)."
        )
    bundle = open_bundle(live, catalog.slug)
    state, log, split = live_pipeline(catalog, live)
    if state.items.encoder is None or state.tower is None or state.tower_items is None:
        raise TrainingFault(
            "The encoder of the live model is not here, so its tower reads nothing: train another."
        )
    refuse_leak(state.items.encoder, split_name)
    handle.log(f"{bundle.id}: {len(log):,} interactions, {len(state.items):,} items, {split}")
    ids = load_file(bundle.file("tables.safetensors"))["item_ids"]
    rows = rows_in_tower(state.tower, state.items.rows_of(ids), len(state.items))
    return Ground(state, log, split, rows, bundle)


def _rankers(handle: RunHandle, ground: Ground, wanted: Distillation) -> RankingState:
    """The state as of the validation fold, with rankers that have not learned from it."""
    log, split = ground.log, ground.split
    with one_thread():
        sources = replace(ground.sources, ranker=None, personalizer=None)
        train, valid = examples_of(handle, sources, log, split)
        limits = RankerLimits(wanted.rounds, wanted.network_epochs)
        learned = compare_rankers(handle, sources, train, valid, limits)
        then = sources.as_of(log.keep(split.valid.known), split.valid.now)
        if ground.live is not None:
            return replace(then, ranker=learned.ensemble)
        return settled(handle, then, log, split.valid, learned.ensemble)


def _course(handle: RunHandle, then: RankingState, ground: Ground, wanted: Distillation) -> Course:
    """The heads to learn from and to measure on."""
    fold, seed = ground.split.valid, handle.seed
    handle.stage("heads", 0.4)
    heads = heads_of(handle, then, ground.log, fold, wanted.requests)
    if len(heads.picked) < LEAST_REQUESTS or not heads.examples.labels.any():
        raise TrainingFault(
            f"{handle.catalog.name} has {len(heads.picked):,} requests to learn from in the "
            f"validation fold of {ground.split.name}; {LEAST_REQUESTS} with something picked are "
            "needed. Wait for more visits; until then the rankers' order stands."
        )
    absent = visitors(ground.log, fold, wanted.unlabelled, seed)
    others = heads_of(handle, then, ground.log, absent, wanted.unlabelled)
    course = Course.of(heads, others, wanted.groups, seed)
    handle.log(
        f"{len(heads.picked):,} heads of {len(np.unique(heads.users)):,} people, "
        f"{course.examples.with_picks().sum():,} with picks; {len(others.picked):,} of people "
        "who did not come"
    )
    return course


def _best(compared: Compared, people: IntArray) -> tuple[Measured, bool]:
    """The personal student that is most surely better than the rankers' order; if it surely is."""
    students = [row for row in compared.rows if row.name in compared.teachers]
    lows = [row.interval(people, len(students))[0] for row in students]
    place = int(np.argmax(lows))
    return students[place], lows[place] > 0


def _why_none(best: Measured, pays: bool, split: Split) -> str:
    """A sentence for the log, where no model is registered."""
    if not pays:
        return "No student is surely better than the rankers' order, so none is registered."
    return (
        f"The {best.name} surely pays. None is registered: the split {split.name} is for "
        "measuring, models are served from the split time."
    )


def _measured(
    handle: RunHandle, ground: Ground, state: RankingState, most_people: int
) -> dict[str, Any]:
    """The state with its student on the test, beside the live model if there is one."""
    handle.stage("evaluating", 0.85)
    result = evaluate_state(
        state,
        ground.log,
        ground.split,
        handle.check,
        most_people or None,
        handle.seed,
        live=ground.sources if ground.live is not None else None,
    )
    for line in table_of_evaluation(result):
        handle.log(line)
    return by_name(result, ground.live.id if ground.live is not None else "")


def _publish(
    handle: RunHandle,
    live: Bundle,
    items: ItemIndex,
    student: Personalizer,
    words: Words,
    facts: dict[str, Any],
    metrics: dict[str, Any],
) -> None:
    """Register the live model with this student in it."""
    handle.stage("writing the bundle", 0.97)
    folder = handle.folder / "bundle"
    _write(folder, live, items, student, words)
    parameters = live.meta.parameters | {
        "personalizer": asdict(student.network.config),
        "personal_on": True,
        "distilled": {"from": live.id, "seed": handle.seed, **facts},
        "trained_at": time.time(),
    }
    meta = replace(live.meta, parameters=parameters, metrics=metrics, created_at="")
    bundle_id = write_bundle(folder, meta)
    catalog = Catalog.objects.get(pk=handle.catalog.pk)  # it may have changed since the run began
    metrics["rehearsal"] = tried(catalog, bundle_id, catalog.live_bundle)
    handle.check()
    with fenced(handle.lease) as run:
        register(run, bundle_id, metrics)
    handle.log(f"Registered {bundle_id}: {live.id} with the {facts['student']}.")


def _write(
    folder: Path, live: Bundle, items: ItemIndex, student: Personalizer, words: Words
) -> None:
    """The live bundle's files, with this student and the words that it reads."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in live.meta.digests:
        shutil.copyfile(live.file(name), folder / name)
    tables = load_file(live.file("tables.safetensors"))
    place = items.rows_of(tables["item_ids"])  # −1 = gone since it was trained
    tables["words"] = np.where(place[:, None] >= 0, words.rows[place], np.int32(NO_TOKEN))
    save_file(tables, folder / "tables.safetensors")
    student.save(folder / PERSONALIZER)
