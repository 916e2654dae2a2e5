"""Which language answers: a page the visitor's, the API English."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.locale import LocaleMiddleware
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.translation import ngettext_lazy

ALWAYS_ENGLISH = ("/api/v1/", "/api/schema")  # beginnings of addresses that programs read

# Texts of Django's own that its Chinese lacks. Nothing reads this but `make messages`.
LACKING = (
    ngettext_lazy(
        "This password is too short. It must contain at least %d character.",
        "This password is too short. It must contain at least %d characters.",
    ),
)


class LanguageMiddleware(LocaleMiddleware):
    """Django's choice, the cookie before Accept-Language; for programs English, whatever they send.

    No cache may hand a page to somebody of another language: each says what it varies with.
    """

    def process_request(self, request: HttpRequest) -> None:
        """Choose the language of everything that this request makes."""
        if request.path_info.startswith(ALWAYS_ENGLISH):
            translation.activate("en")
            request.LANGUAGE_CODE = "en"
        else:
            super().process_request(request)

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        """Say which language it is, and what the choice hung on."""
        if request.path_info.startswith(ALWAYS_ENGLISH):
            return response
        patch_vary_headers(response, ["Cookie"])
        return super().process_response(request, response)
