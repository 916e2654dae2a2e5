"""What the demo is doing now, told in the terminal: bars where it is one, lines where it is not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from catalog.models import LoadState
from training.models import RunState, TrainingRun

LINE_EVERY = 0.25  # of the whole: how often a line is printed where there is no terminal


@dataclass(frozen=True)
class Step:
    """One thing that goes on, or went on."""

    key: str
    text: str
    share: float | None  # 0 … 1, None = unknown
    is_over: bool
    fault: str = ""


def steps() -> list[Step]:
    """Read what goes on, or just ended: loads first, then runs, oldest first."""
    found = []
    for load in LoadState.objects.select_related("catalog").order_by("started_at"):
        share = load.done / load.total if load.total else None
        text = f"{load.catalog.slug}: load {load.stage}"
        over = load.finished_at is not None
        found.append(Step(f"load {load.pk}", text, 1.0 if over else share, over))
    recent = Q(ended_at=None) | Q(ended_at__gt=Now() - timedelta(minutes=1))
    runs = TrainingRun.objects.filter(recent).exclude(state=RunState.PAUSED)
    for run in runs.select_related("catalog").order_by("created_at"):
        text = f"{run.catalog.slug}: {run.kind} {'' if run.is_over else run.stage or run.state}"
        failed = run.is_over and run.state != RunState.SUCCEEDED
        fault = f"{run.state}: {run.error}".rstrip(": ") if failed else ""
        found.append(Step(f"run {run.pk}", text.strip(), run.progress, run.is_over, fault))
    return found


class Progressing:
    """Shows the steps as they go, and the end of each that was seen going on."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.said: dict[str, float] = {}  # key → the share of the last line
        self.bars: dict[str, TaskID] = {}
        self.live: Progress | None = None
        if console.is_terminal:
            self.live = Progress(
                TextColumn("  {task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeElapsedColumn(),
                console=console,
                transient=True,
            )
            self.live.start()

    def show(self) -> bool:
        """Show what changed, and tell whether something still goes on."""
        busy = False
        for step in steps():
            if step.is_over:
                if self.said.pop(step.key, None) is not None:
                    self._end(step)
            else:
                busy = True
                self._go_on(step)
        return busy

    def stop(self) -> None:
        """Take the bars off the screen."""
        if self.live:
            self.live.stop()

    def _end(self, step: Step) -> None:
        bar = self.bars.pop(step.key, None)
        if self.live and bar is not None:
            self.live.remove_task(bar)
        self.console.print(f"  {step.text}: {step.fault or 'done'}")

    def _go_on(self, step: Step) -> None:
        share = step.share or 0.0
        if self.live:
            if step.key not in self.bars:
                self.bars[step.key] = self.live.add_task(step.text, total=100)
            self.live.update(self.bars[step.key], description=step.text, completed=share * 100)
            self.said[step.key] = share
        elif share >= self.said.get(step.key, -1.0) + LINE_EVERY:
            self.said[step.key] = share
            self.console.print(f"  {step.text} {share:.0%}")
