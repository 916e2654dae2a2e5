"""The audit log: who changed what, when, before and after; filter and page stand in the address."""

from django import forms
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from catalog.models import AuditEntry, AuditEntryQuerySet, Catalog, Role
from recsite import audit_file
from recsite.csv_file import csv_file
from recsite.dashboard.access import needs

ENTRIES_A_PAGE = 50


class AuditFilter(forms.Form):
    """What to show; nothing said = everything."""

    who = forms.CharField(required=False, max_length=150)
    kind = forms.CharField(required=False, max_length=32)
    catalog = forms.CharField(required=False, max_length=50)
    since = forms.DateField(required=False)
    until = forms.DateField(required=False)


@needs(Role.VIEWER)
@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """A page of the log."""
    wanted = AuditFilter(request.GET)
    found = Paginator(_matching(wanted), ENTRIES_A_PAGE).get_page(request.GET.get("page"))
    query = QueryDict(mutable=True)
    query.update({name: request.GET[name] for name in wanted.fields if request.GET.get(name)})
    context = {
        "tab": "audit",
        "page": found,
        "page_range": found.paginator.get_elided_page_range(found.number),
        "query": f"{query.urlencode()}&" if query else "",
        "chosen": {name: request.GET.get(name, "") for name in wanted.fields},
        "fault": "" if wanted.is_valid() else _("Write days like 2026-01-31."),
        "who": AuditEntry.objects.known("who"),
        "kinds": AuditEntry.objects.known("kind"),
        "catalogs": Catalog.objects.order_by("slug").values_list("slug", flat=True),
    }
    status = 200 if wanted.is_valid() else 422
    return render(request, "dashboard/audit.html", context, status=status)


@needs(Role.VIEWER)
@require_GET
def download(request: HttpRequest) -> StreamingHttpResponse | HttpResponse:
    """The same entries, all of them, as CSV."""
    wanted = AuditFilter(request.GET)
    if not wanted.is_valid():
        return HttpResponse(_("Write days like 2026-01-31."), status=422, content_type="text/plain")
    return csv_file("audit.csv", audit_file.COLUMNS, audit_file.rows(_matching(wanted)))


def _matching(wanted: AuditFilter) -> AuditEntryQuerySet:
    return AuditEntry.objects.matching(**wanted.cleaned_data if wanted.is_valid() else {})
