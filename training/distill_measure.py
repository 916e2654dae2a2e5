"""What a distillation measures: how well and how fast who orders heads, and what students keep."""

from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from ranking.types import FloatArray, IntArray
from training import metrics
from training.course import Course, Verdicts
from training.fit_personal import Order, head_ms
from training.students import Students
from training.teacher import Teacher


@dataclass(frozen=True)
class Measured:
    """One order of the heads; a row of the table."""

    name: str
    ndcg: NDArray[np.float64]  # (R,) nDCG@10 of each head with labels
    ms: float = 0.0  # median, 100 candidates, one thread; 0 where nothing is computed
    start: Optional["Measured"] = None  # what it is to be better than
    teacher: Optional["Measured"] = None

    @property
    def gain(self) -> NDArray[np.float64]:
        """Over its start, head by head. (R,)"""
        return self.ndcg - self.start.ndcg if self.start else np.zeros_like(self.ndcg)

    def interval(self, people: IntArray, among: int = 1) -> tuple[float, float]:
        """95 % interval of the mean gain, paired, for `among` of them together; people (R,)."""
        level = metrics.level_of_each(among)
        return metrics.bootstrap_interval(self.gain, level=level, clusters=people)

    @property
    def kept(self) -> float | None:
        """Its gain, as a share of its teacher's over the same start; None if that has none."""
        if self.teacher is None or self.start is None:
            return None
        lead = float((self.teacher.ndcg - self.start.ndcg).mean())
        return float(self.gain.mean()) / lead if lead > 0 else None

    @property
    def time_share(self) -> float | None:
        """Its time, as a share of its teacher's."""
        return self.ms / self.teacher.ms if self.teacher and self.teacher.ms else None

    def told(self, people: IntArray) -> dict[str, Any]:
        """What is kept of it with a bundle."""
        low, high = self.interval(people)
        return {
            "name": self.name,
            "teacher": self.teacher.name if self.teacher else "",
            "ndcg@10": float(self.ndcg.mean()),
            "gain": {"value": float(self.gain.mean()), "low": low, "high": high},
            "kept": self.kept,
            "ms": self.ms,
        }


@dataclass(frozen=True)
class Judge:
    """A teacher's row, and its verdicts."""

    row: Measured
    verdicts: Verdicts


@dataclass(frozen=True)
class Compared:
    """The rows of the table, and who taught the personal models among them, by name."""

    rows: list[Measured]
    teachers: dict[str, Judge]


def compare(students: Students, judged: Verdicts, slow: Teacher, members: int) -> Compared:
    """Teachers, students, and what each of them has to be better than, on the heads with labels.

    judged are the verdicts of the cross-encoder; slow is one of its shape, for the time it takes.
    """
    course, heads = students.course, students.course.heads
    made = [students.ensemble(group, members) for group in course.groups]
    fast = head_ms(students.by_model(made[0][0]), course.heads)
    took = head_ms(lambda head: slow.logits(course.rows[head], _all(course, head)), heads)
    usual = Measured("rankers' order", heads.ndcg(heads.in_order()))
    together = [verdict for _, verdict in made]
    judges = [
        Judge(Measured(name, heads.ndcg(course.held(verdicts)), ms, usual), verdicts)
        for name, verdicts, ms in (
            ("cross-encoder", judged, took),
            (f"{members} personal models", together, members * fast),
        )
    ]
    alone = course.cross_fitted(lambda group: students.by_model(made[group][0]))
    rows = [usual, *(judge.row for judge in judges)]
    rows.append(Measured("personal model", heads.ndcg(alone), fast, usual))
    teachers = {f"personal model of {judge.row.name}": judge for judge in judges}
    for name, judge in teachers.items():
        ndcg = heads.ndcg(_personal(students, judge.verdicts))
        rows.append(Measured(name, ndcg, fast, usual, judge.row))
    return Compared(rows + _towers(students, judges), teachers)


def _all(course: Course, head: int) -> IntArray:
    return np.arange(len(course.rows[head].items))


def _personal(students: Students, verdicts: Verdicts) -> list[FloatArray]:
    """The scores of personal models that a teacher has taught."""
    course = students.course

    def fit(group: int) -> Order:
        learn = course.learners(group, labelled=False)
        return students.by_model(students.personal_model(verdicts[group], learn))

    return course.cross_fitted(fit)


def _towers(students: Students, judges: list[Judge]) -> list[Measured]:
    """The tower as it is, and after each teacher."""
    course, tower = students.course, students.then.tower
    assert tower is not None
    itself = students.by_tower(tower)
    took = head_ms(itself, course.heads)
    heads = course.heads
    before = Measured("tower", heads.ndcg(course.cross_fitted(lambda _: itself)), took)
    rows = [before]
    for number, judge in enumerate(judges, 1):

        def fit(group: int, number: int = number, judge: Judge = judge) -> Order:
            learn = course.learners(group, labelled=False)
            name = f"tower-{number}-{group + 1}"
            return students.by_tower(students.tower_student(name, judge.verdicts[group], learn))

        ndcg = heads.ndcg(course.cross_fitted(fit))
        rows.append(Measured(f"tower of {judge.row.name}", ndcg, took, before, judge.row))
    return rows


def table(rows: list[Measured], people: IntArray) -> list[str]:
    """The orders side by side, a line each, as Markdown."""
    lines = [
        "| order of the head by | nDCG@10 | better than | by | 95 % interval "
        "| of its teacher's gain | ms | of its teacher's time |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        start = gain = interval = "–"
        if row.start is not None:
            low, high = row.interval(people)
            start, gain = row.start.name, f"{row.gain.mean():+.4f}"
            interval = f"{low:+.4f} … {high:+.4f}"
        lines.append(
            f"| {row.name} | {row.ndcg.mean():.4f} | {start} | {gain} | {interval} "
            f"| {_percent(row.kept, 0)} | {row.ms:.1f} | {_percent(row.time_share, 1)} |"
        )
    return lines


def _percent(share: float | None, digits: int) -> str:
    return "–" if share is None else f"{share:.{digits}%}"
