"""Where the web process listens: HOST and PORT, read, checked and tried."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from recsite.faults import SetupFault

# Listening everywhere → where a browser on this machine finds it.
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104, somebody asked for it


@dataclass(frozen=True)
class Address:
    """Where the web process listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The address for a browser on this machine."""
        host = EVERYWHERE.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def allowed_hosts(self) -> str:
        """Names that a request may use, for ALLOWED_HOSTS: all of this machine if all may ask."""
        names = ["localhost", "127.0.0.1", "[::1]", self.host]
        if self.host in EVERYWHERE:
            found = [one.address for many in psutil.net_if_addrs().values() for one in many]
            names += [socket.gethostname(), *(name for name in found if name.count(".") == 3)]
        return ",".join(dict.fromkeys(names))


def read_address(environment: Mapping[str, str]) -> Address:
    """Read HOST and PORT.

    Raises
    ------
    SetupFault
        When one of them is nonsense.
    """
    host = environment.get("HOST", "").strip("[] ") or "127.0.0.1"
    port = environment.get("PORT", "").strip() or "8000"
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise SetupFault(f"PORT is {port!r}; it must be a number from 1 to 65535.")
    with contextlib.suppress(ValueError):
        return Address(str(ipaddress.ip_address(host)), int(port))
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except OSError:
        raise SetupFault(
            f"HOST is {host!r}, which is no address of this machine. "
            "Use 127.0.0.1 for this machine alone, or 0.0.0.0 for everybody who can reach it."
        ) from None
    return Address(str(found[0][4][0]), int(port))


def check_free(address: Address) -> None:
    """Raise a SetupFault when another program listens at the address, or nobody can."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError as error:
            raise SetupFault(
                f"Cannot listen at {address.host}:{address.port}: {error.strerror}. "
                "Stop the other program, or choose another PORT or HOST."
            ) from None
