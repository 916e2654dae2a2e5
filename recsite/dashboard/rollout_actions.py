"""The buttons of a roll-out, and the form of the gate's limits. Commands: rollout, gate."""

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_http_methods, require_POST

from catalog.models import Catalog, Role
from recsite.dashboard import rehearsals
from recsite.dashboard.access import locked_catalog, needs, require, staff_user
from training import rollout
from training.errors import TrainingFault
from training.gate_limits import LIMITS, limits_of, set_limits
from training.models import ModelVersion

CHANGED = gettext_noop("The share has changed by now. Look at what stands here, then decide again.")


@needs(Role.OPERATOR)
@require_POST
@transaction.atomic
def challenge(request: HttpRequest, slug: str, bundle_id: str) -> HttpResponse:
    """Name a model its catalog's challenger."""
    catalog = locked_catalog(slug)
    version = get_object_or_404(ModelVersion, catalog=catalog, bundle_id=bundle_id)
    try:
        rollout.name_challenger(version)
    except TrainingFault as refused:
        messages.error(request, str(refused))
    else:
        text = _("%(bundle)s is the challenger. It answers nobody yet.")
        messages.success(request, text % {"bundle": bundle_id})
    return redirect("dashboard:model", slug, bundle_id)


@needs(Role.OPERATOR)
@require_POST
@transaction.atomic
def step(request: HttpRequest, slug: str, bundle_id: str) -> HttpResponse:
    """Give a model the share that was chosen; 100 promotes it.

    `from` is the share that the page has shown: a button that is pressed twice acts once.
    """
    catalog = locked_catalog(slug)
    version = get_object_or_404(ModelVersion, catalog=catalog, bundle_id=bundle_id)
    version.catalog = catalog
    if "force" in request.POST:
        require(request, Role.ADMIN)
    shown, wanted = (_whole(request.POST.get(name, "")) for name in ("from", "share"))
    if rehearsals.goes_on(version):
        messages.error(request, _("Its rehearsal goes on: wait for what it says."))
    elif shown != (catalog.challenger_share if catalog.challenger_bundle == bundle_id else 0):
        messages.error(request, _(CHANGED))
    else:
        reason, force = request.POST.get("reason", ""), "force" in request.POST
        try:
            rollout.roll_out(version, wanted, staff_user(request), reason, force=force)
        except TrainingFault as refused:
            messages.error(request, str(refused))
        else:
            is_live = wanted == rollout.ALL
            text = (
                _("%(bundle)s is live.")
                if is_live
                else _("%(bundle)s answers %(share)d %% of the people.")
            )
            messages.success(request, text % {"bundle": bundle_id, "share": wanted})
    return redirect("dashboard:model", slug, bundle_id)


@needs(Role.OPERATOR)
@require_POST
@transaction.atomic
def stop(request: HttpRequest, slug: str) -> HttpResponse:
    """End a roll-out: the live model answers everybody."""
    catalog = locked_catalog(slug)
    try:
        rollout.stop(catalog, staff_user(request), request.POST.get("reason", ""))
    except TrainingFault as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, _("Stopped: the live model answers everybody."))
    return redirect("dashboard:catalog-models", slug)


@needs(Role.VIEWER, to_send=Role.ADMIN)
@require_http_methods(["GET", "POST"])
def limits(request: HttpRequest, slug: str) -> HttpResponse:
    """What a catalog's gate asks for, and the form that changes it."""
    catalog = get_object_or_404(Catalog, slug=slug)
    values = {name: f"{value:g}" for name, value in limits_of(catalog).items()}
    fault = ""
    if request.method == "POST":
        sent = {name: request.POST[name] for name in LIMITS if name in request.POST}
        try:
            set_limits(catalog, sent)
        except TrainingFault as refused:
            fault, values = str(refused), values | sent
        else:
            messages.success(request, _("The gate's limits are kept."))
            return redirect("dashboard:gate-limits", slug)
    rows = [(name, limit, values[name]) for name, limit in LIMITS.items()]
    context = {"tab": "models", "catalog": catalog, "rows": rows, "fault": fault}
    return render(request, "dashboard/gate_limits.html", context, status=422 if fault else 200)


def _whole(text: str) -> int:
    """A whole number from a form; −1 is no share."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else -1
