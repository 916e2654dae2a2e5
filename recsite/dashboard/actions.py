"""The buttons that start, stop and repeat runs. Each has a manage.py command beside it."""

import uuid

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from catalog.models import Role
from recsite.dashboard.access import locked_catalog, needs, staff_user
from training import runs
from training.errors import TrainingFault
from training.models import TrainingRun
from training.refresh import refresh_now
from training.search_space import read_search

FIELDS = {  # kind of run → the fields of its form, which are parameters of the run
    TrainingRun.Kind.TRAIN: ("encoder", "tuned"),
    TrainingRun.Kind.PRETRAIN: ("encoder",),
    TrainingRun.Kind.FINETUNE: ("encoder", "way"),
    TrainingRun.Kind.QUANTIZE: ("encoder",),
    TrainingRun.Kind.TUNE: ("what", "trials", "minutes"),
    TrainingRun.Kind.EVALUATE: ("what", "split"),
}


@needs(Role.OPERATOR)
@require_POST
@transaction.atomic
def start(request: HttpRequest, slug: str, kind: str) -> HttpResponse:
    """Queue a run of a kind that learns or measures, or show the one that is going on."""
    catalog = locked_catalog(slug)
    earlier = TrainingRun.objects.filter(catalog=catalog, kind=kind)
    going_on = earlier.going_on().order_by("created_at").first()
    if going_on:
        messages.info(request, f"A run of {catalog.name} to {kind} goes on already: this one.")
        return redirect("dashboard:run", going_on.pk)
    chosen = {name: request.POST.get(name, "")[:64] for name in FIELDS[TrainingRun.Kind(kind)]}
    parameters = {name: value for name, value in chosen.items() if value}
    if kind == TrainingRun.Kind.TUNE:
        try:
            read_search(parameters)
        except TrainingFault as fault:
            messages.error(request, str(fault))
            return redirect("dashboard:catalog-models", slug)
    run = runs.create_run(catalog, kind, parameters, staff_user(request))
    return redirect("dashboard:run", run.pk)


@needs(Role.OPERATOR)
@require_POST
@transaction.atomic
def refresh(request: HttpRequest, slug: str) -> HttpResponse:
    """Queue a refresh of the embeddings, or show the one that is going on."""
    run = refresh_now(locked_catalog(slug), staff_user(request))
    return redirect("dashboard:run", run.pk)


@needs(Role.OPERATOR)
@require_POST
def cancel(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """Ask for the end of a run."""
    run = get_object_or_404(TrainingRun, pk=run_id)
    if not runs.cancel(run, staff_user(request).username):
        messages.error(request, f"This run is over already: {run.get_state_display().lower()}.")
    return redirect("dashboard:run", run.pk)


@needs(Role.OPERATOR)
@require_POST
@transaction.atomic
def retry(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """Queue the run again as a new one, or show the one that is going on."""
    run = get_object_or_404(TrainingRun.objects.select_related("catalog"), pk=run_id)
    locked_catalog(run.catalog.slug)
    going_on = TrainingRun.objects.filter(retry_of=run).going_on().first()
    if going_on:
        return redirect("dashboard:run", going_on.pk)
    try:
        again = runs.retry(run, staff_user(request))
    except TrainingFault as fault:
        messages.error(request, str(fault))
        return redirect("dashboard:run", run.pk)
    messages.success(request, "Queued again, as a new run with the same parameters and seed.")
    return redirect("dashboard:run", again.pk)
