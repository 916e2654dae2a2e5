"""Broker and workers as they are now: who answers, what they do, how much waits.

Asking takes up to a second, so no page waits for it: the services page fetches this afterwards, and
whoever asks within a few seconds gets the same answer.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import kombu
from amqp.exceptions import ChannelError as AmqpChannelError
from django.conf import settings
from django.utils.translation import gettext_noop
from kombu.exceptions import ChannelError

from recsite import health
from recsite.celery import app
from recsite.fresh import Fresh
from recsite.health import BROKER_FAULTS, BROKER_TIMEOUT, FRESH_FOR, WORKER_TIMEOUT, Part

QUESTIONS = ("stats", "active", "active_queues")  # of Celery's remote control
LOST = gettext_noop("The broker went away while it was asked: %(cause)s.")
NO_SUCH_QUEUE = (ChannelError, AmqpChannelError)  # on Redis an empty queue is one that is not there


@dataclass(frozen=True)
class Worker:
    """One worker that answered."""

    name: str
    queues: list[str]
    slots: int
    busy: int  # tasks at work now
    done: int  # tasks since its start
    uptime: int  # seconds
    pid: int


@dataclass(frozen=True)
class Backstage:
    """What was found at one look."""

    broker: Part
    queues: dict[str, int | None] = field(default_factory=dict)  # messages waiting; None = unknown
    workers: list[Worker] = field(default_factory=list)

    @property
    def unserved(self) -> list[str]:
        """Queues that no worker takes from."""
        served = {name for worker in self.workers for name in worker.queues}
        return [name for name in self.queues if name not in served]


def look() -> Backstage:
    """Ask broker and workers; never raises for what is away."""
    broker = health.broker_part()
    if not broker.ready:
        return Backstage(broker)
    try:
        return Backstage(broker, _waiting(), _workers())
    except BROKER_FAULTS as error:
        return Backstage(Part(False, LOST, str(error)))


def _waiting() -> dict[str, int | None]:
    """Messages in each of our queues; on every broker that Celery speaks to."""
    counts: dict[str, int | None] = {}
    with kombu.Connection(settings.CELERY_BROKER_URL, connect_timeout=BROKER_TIMEOUT) as broker:
        for queue in settings.CELERY_TASK_QUEUES:
            channel: Any = broker.channel()
            try:
                counts[queue.name] = channel.queue_declare(queue.name, passive=True).message_count
            except NO_SUCH_QUEUE:
                counts[queue.name] = 0
    return counts


def _workers() -> list[Worker]:
    """Three questions at once, so that the time to wait for answers is paid once."""
    with ThreadPoolExecutor(len(QUESTIONS)) as pool:
        stats, active, queues = pool.map(_ask, QUESTIONS)
    return [
        Worker(
            name=name,
            queues=sorted(queue["name"] for queue in queues.get(name, ())),
            slots=int(told.get("pool", {}).get("max-concurrency") or 0),
            busy=len(active.get(name, ())),
            done=sum(told.get("total", {}).values()),
            uptime=int(told.get("uptime", 0)),
            pid=int(told.get("pid", 0)),
        )
        for name, told in sorted(stats.items())
    ]


def _ask(question: str) -> dict[str, Any]:
    """Worker → its answer."""
    answers = app.control.broadcast(question, reply=True, timeout=WORKER_TIMEOUT)
    found: dict[str, Any] = {}
    for answer in answers or ():
        found |= answer
    return found


watch = Fresh(look, FRESH_FOR)
