"""Imports: upload or name a file, say what its columns are, try it, import it, take it back."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext
from django.views.decorators.http import require_GET, require_http_methods

from catalog.errors import CatalogError
from catalog.importers import mapping, uploads
from catalog.importers.files import Origin, Outcome, import_by_kind
from catalog.importers.preview import preview
from catalog.importers.reading import READERS
from catalog.importers.rows import LAYOUTS, Layout
from catalog.importers.undo import undo
from catalog.models import Catalog, Import, Role
from recsite.dashboard import doctor
from recsite.dashboard.access import needs, staff_user
from recsite.dashboard.sorting import Sorting
from recsite.upload_limit import exceeds_limit
from training.import_run import queue_import, queue_undo
from training.models import TrainingRun

KINDS = ("items", "users", "interactions", "offers")
IMPORTS_A_PAGE = 20
AT_ONCE = 3 * 1024 * 1024  # bytes of a file that a page tries while somebody waits; about a second
ROWS_AT_ONCE = 20_000  # of an import that a page takes back while somebody waits
COLUMNS = {
    "import": gettext_noop("Import"),
    "when": gettext_noop("When"),
    "by": gettext_noop("By"),
}
ORDERS = {"import": "name", "when": "made_at", "by": "who"}  # column → what it is sorted by
KEEP, DROP = "as-attribute", "leave-out"  # what may become of a column that is no field


class FileForm(forms.Form):
    """Which file: one that is uploaded, or one in the server's folder."""

    kind = forms.ChoiceField(choices=[(kind, kind) for kind in KINDS])
    file = forms.FileField(required=False, allow_empty_file=True)
    path = forms.CharField(required=False, max_length=1000)

    def source(self) -> str:
        """Store what was uploaded; what to call the file from now on.

        Raises
        ------
        CatalogError
            There is no file, or none that can be read.
        """
        if not self.is_valid():
            raise CatalogError(_("Choose what the file holds, and a file."))
        uploaded, path = self.cleaned_data["file"], self.cleaned_data["path"].strip()
        if uploaded:
            if uploaded.size == 0:
                raise CatalogError(_("%(file)s is empty.") % {"file": uploaded.name})
            return uploads.keep(uploaded.name, uploaded.chunks())
        source = f"folder/{path}" if path else ""
        uploads.find(source)
        return source


@dataclass(frozen=True)
class Column:
    """One column of the file, and what it is to be."""

    place: int
    name: str
    samples: list[str]
    choice: str  # a field, KEEP or DROP


@needs(Role.VIEWER, to_send=Role.OPERATOR)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest, slug: str) -> HttpResponse:
    """What was imported, and the form that chooses the next file."""
    catalog = get_object_or_404(Catalog, slug=slug)
    fault = ""
    if request.method == "POST":
        form = FileForm(request.POST, request.FILES)
        try:
            if exceeds_limit(request):
                raise CatalogError(_too_large())
            source = form.source()
        except CatalogError as error:
            fault = str(error)
        else:
            return redirect(_address(slug, source, form.cleaned_data["kind"]))
    sorting = Sorting.of(request.GET.get("sort", ""), COLUMNS, "-when")
    made = Import.objects.filter(catalog=catalog).order_by(*_order(sorting))
    found = Paginator(made, IMPORTS_A_PAGE)
    going_on = TrainingRun.objects.going_on().filter(catalog=catalog, kind=TrainingRun.Kind.IMPORT)
    shown = found.get_page(request.GET.get("page"))
    context = {
        "tab": "data",
        "catalog": catalog,
        "page": shown,
        "page_range": found.get_elided_page_range(shown.number),
        "heads": sorting.heads(COLUMNS, request.GET, texts=("import", "by"), moments=("when",)),
        "query": f"{urlencode({'sort': request.GET['sort']})}&" if "sort" in request.GET else "",
        "going_on": going_on.order_by("created_at"),
        "kinds": KINDS,
        "kind": request.POST.get("kind") or request.GET.get("kind", "items"),
        "endings": ", ".join(READERS),
        "limit": settings.UPLOAD_MAX_MB,
        "import_dir": settings.IMPORT_DIR,
        "waiting": uploads.in_folder(),
        "fault": fault,
    }
    return render(request, "dashboard/imports.html", context, status=422 if fault else 200)


@needs(Role.OPERATOR)
@require_http_methods(["GET", "POST"])
def file_page(request: HttpRequest, slug: str) -> HttpResponse:
    """One file: its first rows, what its columns are; try it, or import it."""
    catalog = get_object_or_404(Catalog, slug=slug)
    source, kind = request.GET.get("source", ""), request.GET.get("kind", "")
    if kind not in KINDS:
        return redirect("dashboard:imports", slug)
    layout = LAYOUTS[kind]
    path: Path | None = None
    try:
        path = uploads.find(source)
        rows = preview(path)
    except CatalogError as error:
        messages.error(request, uploads.told(error, path) if path else str(error))
        return redirect("dashboard:imports", slug)
    names, was_remembered = _names(request.POST, catalog, layout, rows.columns)
    fault, outcome, status = "", None, 200
    if request.method == "POST":
        try:
            _check(names, rows.columns, layout)
            if request.POST.get("do") == "import":
                run = queue_import(catalog, source, kind, names, staff_user(request))
                return redirect("dashboard:run", run.pk)
            if path.stat().st_size > AT_ONCE:
                run = queue_import(catalog, source, kind, names, staff_user(request), dry_run=True)
                return redirect("dashboard:run", run.pk)
            outcome = _try(catalog, path, kind, names)
        except CatalogError as error:
            fault, status = uploads.told(error, path), 422
    context = {
        "tab": "data",
        "catalog": catalog,
        "name": path.name,
        "size": path.stat().st_size,
        "kind": kind,
        "kinds": KINDS,
        "source": source,
        "layout": layout,
        "columns": _columns(rows.columns, rows.rows, names, layout),
        "was_remembered": was_remembered,
        "outcome": outcome,
        "fault": fault,
        "command": _command(catalog, path, kind, names),
    }
    return render(request, "dashboard/import_file.html", context, status=status)


@needs(Role.ADMIN)
@require_http_methods(["GET", "POST"])
def undo_page(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Ask, and take an import back."""
    made = get_object_or_404(
        Import.objects.select_related("catalog"), pk=number, catalog__slug=slug
    )
    rows = sum(file["added"] + file["changed"] for file in made.files)
    fault = ""
    if request.method == "POST":
        if rows > ROWS_AT_ONCE and made.can_be_undone:
            return redirect("dashboard:run", queue_undo(made, staff_user(request)).pk)
        try:
            undo(made.pk, staff_user(request).username)
        except CatalogError as error:
            fault = str(error)
        else:
            doctor.forget()
            messages.success(request, _("Import %(number)d is undone.") % {"number": made.pk})
            return redirect("dashboard:imports", slug)
    context = {
        "tab": "data",
        "catalog": made.catalog,
        "made": made,
        "added": sum(file["added"] for file in made.files),
        "changed": sum(file["changed"] for file in made.files),
        "fault": fault,
    }
    return render(request, "dashboard/import_undo.html", context, status=422 if fault else 200)


@needs(Role.VIEWER)
@require_GET
def report(request: HttpRequest, slug: str, name: str) -> FileResponse:
    """The rows that an import refused, as CSV."""
    path = Path(settings.IMPORT_REPORT_DIR) / name
    if not (name.startswith(f"{slug}-") and path.suffix == ".csv" and path.is_file()):
        raise Http404
    return FileResponse(path.open("rb"), as_attachment=True, filename=path.name)


def _order(sorting: Sorting) -> tuple[str, str]:
    """For the database; of equals the newest first."""
    return f"{'-' if sorting.descending else ''}{ORDERS[sorting.key]}", "-pk"


def _too_large() -> str:
    """What to do with a file that no upload takes."""
    told = {"limit": settings.UPLOAD_MAX_MB, "folder": settings.IMPORT_DIR}
    return (
        _(
            "The file is larger than %(limit)d MB. Copy it to %(folder)s on the server and name it"
            " here, or use manage.py import_data."
        )
        % told
    )


def _address(slug: str, source: str, kind: str) -> str:
    query = QueryDict(mutable=True)
    query.update({"source": source, "kind": kind})
    return f"{reverse('dashboard:import-file', args=[slug])}?{query.urlencode()}"


def _chosen(form: QueryDict, columns: list[str], layout: Layout) -> dict[str, str] | None:
    """Column → its name with us, as the form says; None = it says nothing."""
    if "do" not in form:
        return None
    names = {}
    for place, column in enumerate(columns):
        choice = form.get(f"column-{place}", DROP)
        if choice in layout.columns:
            names[column] = choice
        else:
            names[column] = column if choice == KEEP and layout.keeps_extra else mapping.LEAVE_OUT
    return names


def _names(
    form: QueryDict, catalog: Catalog, layout: Layout, columns: list[str]
) -> tuple[dict[str, str], bool]:
    """Column → its name with us: as the form says, as last time, or guessed; is it as last time?"""
    names = _chosen(form, columns, layout)
    if names is not None:
        return names, False
    remembered = mapping.remembered(catalog, layout.kind, columns)
    return remembered or mapping.guess(columns, layout), remembered is not None


def _check(names: dict[str, str], columns: list[str], layout: Layout) -> None:
    """See that every field that has to be there has a column, and no field two.

    Raises
    ------
    CatalogError
        Otherwise.
    """
    mapping.check(names, layout.kind)
    named = [names.get(column, column) for column in columns]
    missing = [name for name in layout.required if name not in named]
    if missing:
        told = {"columns": ", ".join(missing)}
        raise CatalogError(
            ngettext(
                "No column is %(columns)s; choose which one it is.",
                "No columns are %(columns)s; choose which ones they are.",
                len(missing),
            )
            % told
        )


def _columns(
    names_in_file: list[str], rows: list[list[str]], names: dict[str, str], layout: Layout
) -> list[Column]:
    """The columns with what is chosen for each."""
    found = []
    for place, column in enumerate(names_in_file):
        name = names.get(column, column)
        if name not in layout.columns:
            name = KEEP if name and layout.keeps_extra else DROP
        samples = [row[place] for row in rows if place < len(row)]
        found.append(Column(place, column, samples, name))
    return found


def _try(catalog: Catalog, path: Path, kind: str, names: dict[str, str]) -> Outcome:
    """A dry run while the page waits."""
    return import_by_kind(catalog, {kind: path}, names={kind: names}, origin=Origin(is_dry=True))


def _command(catalog: Catalog, path: Path, kind: str, names: dict[str, str]) -> str:
    """The same from a terminal."""
    said: list[Any] = [f"--map '{old}={new}'" for old, new in names.items() if old != new]
    return " ".join(
        ["manage.py import_data", catalog.slug, f"--{kind} {path.name}", *said, "--dry-run"]
    )
