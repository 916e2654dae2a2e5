"""Keys: each opens one catalog to a program."""

import hashlib
import hmac
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from catalog.models import ApiKey, Catalog

if TYPE_CHECKING:  # rest_framework.views loads this module, by the settings, before it is through
    from rest_framework.views import APIView

HEADER = "X-API-Key"
USE_NOTED_EVERY = timedelta(minutes=1)


def create_key(catalog: Catalog, name: str) -> str:
    """Make a key to a catalog and return it; only its hash is kept, so this is the one chance."""
    prefix = secrets.token_hex(4)
    key = f"{prefix}.{secrets.token_urlsafe(32)}"
    ApiKey.objects.create(catalog=catalog, name=name, prefix=prefix, key_hash=_hash(key))
    return key


def _hash(key: str) -> str:
    """sha256 is enough: the key itself holds 256 random bits, so that nobody can guess along."""
    return hashlib.sha256(key.encode()).hexdigest()


class ApiKeyAuthentication(BaseAuthentication):
    """`X-API-Key: KEY` or `Authorization: Bearer KEY`; sets `request.auth` to the ApiKey."""

    def authenticate(self, request: Request) -> tuple[None, ApiKey] | None:
        """The key's row; None without a key. Errors: AuthenticationFailed (401)."""
        presented = self._presented(request)
        if not presented:
            return None
        found = ApiKey.objects.select_related("catalog").filter(
            prefix=presented.partition(".")[0][:8], revoked_at__isnull=True
        )
        api_key = found.first()
        if api_key is None or not hmac.compare_digest(api_key.key_hash, _hash(presented)):
            raise AuthenticationFailed("This API key is unknown or revoked.")
        self._note_use(api_key)
        return None, api_key

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return 'Bearer realm="api"'

    @staticmethod
    def _presented(request: Request) -> str:
        """The key in the request's headers; '' without one."""
        if key := request.headers.get(HEADER, "").strip():
            return key.replace("\0", "")
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        return value.strip().replace("\0", "") if scheme.lower() == "bearer" else ""

    @staticmethod
    def _note_use(api_key: ApiKey) -> None:
        """Remember that the key is used, without a write in each request."""
        now = timezone.now()
        if api_key.last_used_at is None or now - api_key.last_used_at > USE_NOTED_EVERY:
            ApiKey.objects.filter(pk=api_key.pk).update(last_used_at=now)


class HasApiKey(BasePermission):
    """Lets requests with a valid key in."""

    message = "Send an API key in the header X-API-Key or as a Bearer token."

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Whether a key came along; without one DRF answers 401."""
        return isinstance(request.auth, ApiKey)


def catalog_of(request: Request, named: str = "") -> Catalog:
    """The key's catalog. Errors: PermissionDenied (403) if the request names another one."""
    catalog: Catalog = request.auth.catalog  # type: ignore[union-attr]
    if named and named != catalog.slug:
        raise PermissionDenied(f"This key opens the catalog '{catalog.slug}' only.")
    return catalog


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Tells the OpenAPI document about the two headers."""

    target_class = "recsite.api.keys.ApiKeyAuthentication"
    name = ["ApiKeyHeader", "BearerKey"]  # noqa: RUF012

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        """The two schemes; either will do."""
        return [
            {"type": "apiKey", "in": "header", "name": HEADER},
            {"type": "http", "scheme": "bearer"},
        ]
