"""Who may see the dashboard: staff; and one of them at a time changes a catalog."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec
from urllib.parse import urlsplit

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.cache import add_never_cache_headers

from catalog.models import Catalog, User

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def staff_only(view: View[P]) -> View[P]:
    """Anonymous people are asked to log in; others who are not staff get 403."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.user.is_authenticated:
            if request.headers.get("HX-Request"):  # a fragment: send the whole page to the login
                page = urlsplit(request.headers.get("HX-Current-URL", ""))
                login = redirect_to_login(page.path or reverse("dashboard:overview"))
                return HttpResponse(status=401, headers={"HX-Redirect": login.url})
            return redirect_to_login(request.get_full_path())
        if not request.user.is_staff:
            raise PermissionDenied("The dashboard is for staff.")
        answer = view(request, *args, **kwargs)
        add_never_cache_headers(answer)
        return answer

    return guarded


def staff_user(request: HttpRequest) -> User:
    """The member of staff who asks; `staff_only` has made sure that there is one."""
    assert isinstance(request.user, User)
    return request.user


def locked_catalog(slug: str) -> Catalog:
    """The catalog, locked to the end of the transaction: a button that is pressed twice acts once.

    Errors: Http404.
    """
    return get_object_or_404(Catalog.objects.select_for_update(no_key=True), slug=slug)
