"""A run before it starts: what it can be told, what it will cost; also a retry with changes."""

import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from catalog.models import Catalog, Role
from recsite.dashboard.access import locked_catalog, needs, staff_user
from training import runs
from training.cost import Cost, estimate
from training.models import TrainingRun
from training.parameters import Checked, Choices, Parameter, Sheet, checked, fault_of, words
from training.sheet_fields import SEED
from training.sheets import SHEETS

LONGEST = 64  # characters of a value
LOOK = "look"  # the button that only wants the cost anew, where no script asks for it


@dataclass(frozen=True)
class Field:
    """One parameter as the form shows it."""

    parameter: Parameter
    value: str  # as it was typed, or the usual one
    fault: str
    choices: Choices

    @property
    def id(self) -> str:
        """Of its control."""
        return f"parameter-{self.parameter.name}"

    @property
    def step(self) -> str:
        """What a browser's arrows and its own check go by."""
        return "1" if self.parameter.kind is int else "any"

    @property
    def described_by(self) -> str:
        """The ids of what explains it."""
        parts = [f"{self.id}-help"] if self.parameter.help else []
        return " ".join([*parts, f"{self.id}-fault"] if self.fault else parts)


@dataclass(frozen=True)
class Wish:
    """A run that somebody is about to start, as far as the request tells it."""

    catalog: Catalog
    kind: str
    sheet: Sheet
    asked: dict[str, str]  # parameter → text
    seed: str
    earlier: TrainingRun | None  # that it repeats with changes
    kept: dict[str, Any] = field(default_factory=dict)  # of that one, without a field here

    @property
    def read(self) -> Checked:
        """The values, and what is wrong with them; the seed among the faults."""
        found = checked(self.sheet, self.catalog, self.asked)
        try:
            SEED.read(self.seed, self.catalog)
        except ValueError as fault:
            found.faults[SEED.name] = fault_of(SEED, fault)
        return found

    def parameters(self, read: Checked) -> dict[str, Any]:
        """Of the run."""
        return {**self.sheet.always(self.catalog), **self.kept, **read.values}

    def address(self) -> str:
        """The form with what is typed in it."""
        told = {"catalog": self.catalog.slug, "kind": self.kind, SEED.name: self.seed, **self.asked}
        if self.earlier:
            told["from"] = str(self.earlier.pk)
        return f"{reverse('dashboard:run-new')}?{urlencode(told)}"


@needs(Role.OPERATOR)
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """The form; a POST starts the run, or shows what is wrong beside what was typed."""
    if not Catalog.objects.exists():
        return render(request, "dashboard/run_form.html", {"tab": "runs", "wish": None})
    if request.method != "POST":
        return _form(request, _wish(request.GET))
    wish = _wish(request.POST)
    if LOOK in request.POST:
        return redirect(wish.address())
    read = wish.read
    if read.faults:
        return _form(request, wish, status=422)
    run = start(request, wish, read)
    return redirect("dashboard:run", run.pk)


@needs(Role.OPERATOR)
@require_POST
def cost(request: HttpRequest) -> HttpResponse:
    """What the run would cost, alone: htmx asks while somebody changes the form."""
    return render(request, "dashboard/_run_cost.html", _cost(_wish(request.POST)))


@transaction.atomic
def start(request: HttpRequest, wish: Wish, read: Checked) -> TrainingRun:
    """Queue the run, or return one that waits or runs already and would do the same."""
    catalog = locked_catalog(wish.catalog.slug)
    parameters, seed = wish.parameters(read), int(SEED.read(wish.seed, catalog))
    same = TrainingRun.objects.going_on().filter(catalog=catalog, kind=wish.kind, seed=seed)
    for run in same.order_by("created_at"):
        if run.parameters == parameters:
            messages.info(request, _("This very run is going on already."))
            return run
    user = staff_user(request)
    if wish.earlier and wish.earlier.may_be_repeated:
        return runs.retry(wish.earlier, user, parameters, seed)
    return runs.create_run(catalog, wish.kind, parameters, user, seed)


def _form(request: HttpRequest, wish: Wish, status: int = 200) -> HttpResponse:
    fields = _fields(wish, wish.read.faults if request.GET or status != 200 else {})
    seldom = [one for one in fields if one.parameter.is_seldom]
    context = {
        "tab": "runs",
        "wish": wish,
        "fields": [one for one in fields if not one.parameter.is_seldom],
        "seldom": seldom,
        "open": any(one.fault or _differs(one) for one in seldom),
        "seed": Field(SEED, wish.seed, wish.read.faults.get(SEED.name, ""), ()),
        "strange": [text for name, text in wish.read.faults.items() if not _has(wish, name)],
        "catalogs": Catalog.objects.order_by("pk"),
        "kinds": [(kind, TrainingRun.Kind(kind).label) for kind in SHEETS],
        **_cost(wish),
    }
    return render(request, "dashboard/run_form.html", context, status=status)


def _cost(wish: Wish) -> dict[str, Any]:
    """The estimate, the same from a terminal, and what the run would have to wait for."""
    read = wish.read
    found: Cost | None = None
    if not read.faults:
        found = estimate(wish.catalog, wish.kind, wish.parameters(read))
    going_on = TrainingRun.objects.going_on().filter(catalog=wish.catalog, kind=wish.kind)
    return {
        "wish": wish,
        "cost": found,
        "line": _line(wish, read),
        "before": going_on.order_by("created_at").first(),
    }


def _line(wish: Wish, read: Checked) -> str:
    """What to type in a terminal instead."""
    if wish.earlier:
        before = wish.earlier.parameters
        changes = {
            name: read.values.get(name, "")
            for name in wish.asked
            if read.values.get(name) != before.get(name)
        }
        parts = [f"--param {name}={words(value)}" for name, value in changes.items()]
        line, seed = " ".join([f"manage.py retry_run {wish.earlier.pk}", *parts]), wish.earlier.seed
    else:
        line, seed = wish.sheet.line(wish.catalog, read.values), SEED.default
    return line if wish.seed == str(seed) else f"{line} --seed {wish.seed}"


def _wish(told: QueryDict) -> Wish:
    """What the request tells; what it doesn't is as in the run that is repeated, or as usual."""
    earlier = _earlier(told.get("from", ""))
    if earlier:
        catalog, kind = earlier.catalog, earlier.kind
    else:
        slug, kind = told.get("catalog", ""), told.get("kind") or TrainingRun.Kind.TRAIN
        chosen = Catalog.objects.filter(slug=slug) if slug else Catalog.objects.order_by("pk")
        catalog = get_object_or_404(chosen[:1])
    sheet = SHEETS.get(kind)
    if sheet is None:
        raise Http404(_("There is no form for runs of kind %(kind)r.") % {"kind": kind})
    before = earlier.parameters if earlier else {}
    asked = {
        one.name: told.get(one.name, _text(before.get(one.name, ""))).strip()[:LONGEST]
        for one in sheet.parameters
    }
    seed = told.get(SEED.name, str(earlier.seed if earlier else SEED.default)).strip()[:LONGEST]
    always = sheet.always(catalog)
    kept = {
        name: value for name, value in before.items() if name not in asked and name not in always
    }
    return Wish(catalog, kind, sheet, asked, seed, earlier, kept)


def _earlier(told: str) -> TrainingRun | None:
    if not told:
        return None
    try:
        key = uuid.UUID(told)
    except ValueError:
        raise Http404(_("There is no such run.")) from None
    return get_object_or_404(TrainingRun.objects.select_related("catalog"), pk=key)


def _fields(wish: Wish, faults: dict[str, str]) -> list[Field]:
    found = []
    for one in wish.sheet.parameters:
        value, choices = wish.asked[one.name], one.choices_in(wish.catalog)
        if not value and one.default is not None:
            value = _text(one.default)
        if choices and value not in {choice for choice, _ in choices}:
            choices = (*choices, (value, value))  # of another run, or wrong: it stays as it was
        found.append(Field(one, value, faults.get(one.name, ""), choices))
    return found


def _differs(one: Field) -> bool:
    usual = one.parameter.default
    return one.value != ("" if usual is None else _text(usual))


def _has(wish: Wish, name: str) -> bool:
    return name == SEED.name or wish.sheet.parameter(name) is not None


def _text(value: Any) -> str:
    """A value as a form holds it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
