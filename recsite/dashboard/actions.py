"""The buttons that start, stop and repeat runs. Each has a manage.py command beside it."""

import uuid
from urllib.parse import urlencode

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from catalog.models import Role
from recsite.dashboard.access import locked_catalog, needs, require, staff_user
from training import runs
from training.errors import TrainingFault
from training.models import TrainingRun
from training.parameters import checked
from training.refresh import refresh_now
from training.sheets import SHEETS

STARTED = [kind for kind in SHEETS if kind != TrainingRun.Kind.ENCODE]  # by a button of their own


@needs(Role.OPERATOR)
@require_POST
@transaction.atomic
def start(request: HttpRequest, slug: str, kind: str) -> HttpResponse:
    """Queue a run of a kind that learns or measures, or show the one that is going on."""
    catalog = locked_catalog(slug)
    earlier = TrainingRun.objects.filter(catalog=catalog, kind=kind)
    going_on = earlier.going_on().order_by("created_at").first()
    if going_on:
        text = _("A run of %(catalog)s to %(kind)s goes on already: this one.")
        messages.info(request, text % {"catalog": catalog.name, "kind": _(kind)})
        return redirect("dashboard:run", going_on.pk)
    fields = [one.name for one in SHEETS[kind].parameters]
    asked = {name: request.POST[name][:64] for name in fields if name in request.POST}
    read = checked(SHEETS[kind], catalog, asked)
    if read.faults:  # the form says what is wrong, beside it
        told = {"catalog": slug, "kind": kind, **asked}
        return redirect(f"{reverse('dashboard:run-new')}?{urlencode(told)}")
    run = runs.create_run(catalog, kind, read.values, staff_user(request))
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
        text = _("This run is over already: %(state)s.")
        messages.error(request, text % {"state": _(run.state)})
    return redirect("dashboard:run", run.pk)


@needs(Role.OPERATOR)
@require_POST
def pause(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """Ask a run to stop at its next check and to keep its checkpoint."""
    run = get_object_or_404(TrainingRun, pk=run_id)
    if not runs.pause(run, staff_user(request).username):
        text = _("This run cannot be paused: it is %(standing)s.")
        messages.error(request, text % {"standing": _(run.standing)})
    return redirect("dashboard:run", run.pk)


@needs(Role.OPERATOR)
@require_POST
def resume(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """Have a paused run go on from its checkpoint."""
    run = get_object_or_404(TrainingRun, pk=run_id)
    if not runs.resume(run, staff_user(request).username):
        text = _("This run is not paused: it is %(standing)s.")
        messages.error(request, text % {"standing": _(run.standing)})
    return redirect("dashboard:run", run.pk)


@needs(Role.OPERATOR)
@require_POST
@transaction.atomic
def retry(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """Queue the run again as a new one, or show the one that is going on."""
    run = get_object_or_404(TrainingRun.objects.select_related("catalog"), pk=run_id)
    if "undo" in run.parameters:
        require(request, Role.ADMIN)  # as for the page that started it
    locked_catalog(run.catalog.slug)
    going_on = TrainingRun.objects.filter(retry_of=run).going_on().first()
    if going_on:
        return redirect("dashboard:run", going_on.pk)
    try:
        again = runs.retry(run, staff_user(request))
    except TrainingFault as fault:
        messages.error(request, str(fault))
        return redirect("dashboard:run", run.pk)
    messages.success(request, _("Queued again, as a new run with the same parameters and seed."))
    return redirect("dashboard:run", again.pk)
