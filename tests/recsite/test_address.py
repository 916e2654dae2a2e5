"""HOST and PORT: what is taken, what is refused, and with which words."""

import socket

import pytest

from recsite.address import Address, check_free, read_address
from recsite.faults import SetupFault


@pytest.mark.parametrize(
    ("environment", "address", "url"),
    [
        ({}, Address("127.0.0.1", 8000), "http://127.0.0.1:8000"),
        ({"PORT": "8080", "HOST": ""}, Address("127.0.0.1", 8080), "http://127.0.0.1:8080"),
        ({"HOST": "localhost"}, Address("127.0.0.1", 8000), "http://127.0.0.1:8000"),
        ({"HOST": "0.0.0.0"}, Address("0.0.0.0", 8000), "http://127.0.0.1:8000"),  # noqa: S104
        ({"HOST": "[::1]", "PORT": "1"}, Address("::1", 1), "http://[::1]:1"),
        ({"HOST": "::"}, Address("::", 8000), "http://[::1]:8000"),
    ],
)
def test_it_reads_host_and_port(environment: dict[str, str], address: Address, url: str) -> None:
    read = read_address(environment)
    assert read.port == address.port
    assert read.host in {address.host, "::1"}  # localhost may be either
    if read.host == address.host:
        assert read.url == url


@pytest.mark.parametrize("port", ["0", "65536", "-1", "80a", "8000.0", "٨٠"])
def test_nonsense_in_port_is_refused_by_name(port: str) -> None:
    with pytest.raises(SetupFault, match=r"PORT is .* from 1 to 65535"):
        read_address({"PORT": port})


@pytest.mark.parametrize("host", ["no such host.invalid", "256.1.1.1", "http://localhost"])
def test_nonsense_in_host_is_refused_by_name(host: str) -> None:
    with pytest.raises(SetupFault, match="HOST is"):
        read_address({"HOST": host})


def test_a_port_in_use_is_refused() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SetupFault, match="choose another PORT"):
            check_free(Address("127.0.0.1", port))
    check_free(Address("127.0.0.1", port))


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(SetupFault, match=r"Cannot listen at 192\.0\.2\.1:8000"):
        check_free(Address("192.0.2.1", 8000))


def test_listening_everywhere_allows_the_names_of_this_machine() -> None:
    names = Address("0.0.0.0", 8000).allowed_hosts.split(",")  # noqa: S104
    assert socket.gethostname() in names
    assert "127.0.0.1" in names
    assert Address("127.0.0.1", 8000).allowed_hosts == "localhost,127.0.0.1,[::1]"
