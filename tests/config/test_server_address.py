"""Where this kernel's server can be reached, by what its environment tells."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgopen_nb.config.server_address import Address, addresses, is_private, why_not_public
from imgopen_nb.errors import SettingsError

LOCAL = {"IMGOPEN_SERVER": "http://127.0.0.1:8888/"}
HUB = {"IMGOPEN_SERVER": "http://127.0.0.1:41/user/ann/", "JUPYTERHUB_SERVICE_PREFIX": "/user/ann/"}


def urls(environ: dict[str, str]) -> list[str]:
    return [address.url for address in addresses(environ)]


def test_without_a_server_of_ours_there_is_no_address():
    assert urls({}) == []
    assert "not started by a Jupyter Server" in why_not_public({})


def test_a_plain_server_is_known_on_this_machine_only():
    assert urls(LOCAL) == ["http://127.0.0.1:8888/"]
    assert addresses(LOCAL)[0].private
    assert "localhost" in why_not_public(LOCAL)


def test_a_hub_that_tells_its_public_address_is_used_first():
    public = "https://hub.example.org/user/ann/"
    assert urls(HUB | {"JUPYTERHUB_PUBLIC_URL": public}) == [public, HUB["IMGOPEN_SERVER"]]
    assert not addresses(HUB | {"JUPYTERHUB_PUBLIC_URL": public})[0].private


def test_a_hub_with_subdomains_tells_the_host():
    environ = HUB | {"JUPYTERHUB_HOST": "https://ann.hub.example.org", "JUPYTERHUB_PUBLIC_URL": ""}
    assert urls(environ)[0] == "https://ann.hub.example.org/user/ann/"


def test_a_hub_that_tells_nothing_is_named_with_what_to_do():
    assert urls(HUB) == [HUB["IMGOPEN_SERVER"]]
    assert "JupyterHub" in why_not_public(HUB)
    assert "docs/jupyterhub.md" in why_not_public(HUB)


@pytest.mark.parametrize(
    ("given", "environ", "url"),
    [
        ("https://h.example.org", HUB, "https://h.example.org/user/ann/"),
        ("https://h.example.org/", HUB, "https://h.example.org/user/ann/"),
        ("https://h.example.org/user/ann", HUB, "https://h.example.org/user/ann/"),
        ("https://h.example.org/jupyter/user/ann/", HUB, "https://h.example.org/jupyter/user/ann/"),
        ("https://h.example.org/jupyter", HUB, "https://h.example.org/jupyter/user/ann/"),
        ("https://h.example.org:8443", LOCAL, "https://h.example.org:8443/"),
        ("http://h.example.org/lab-base", LOCAL, "http://h.example.org/lab-base/"),
        ("https://h.example.org", {}, "https://h.example.org/"),
    ],
)
def test_a_given_address_gets_the_base_url_where_it_lacks_it(
    given: str, environ: dict[str, str], url: str
):
    found = addresses(environ | {"IMGOPEN_PUBLIC_URL": given})
    assert found[0] == Address(url, "IMGOPEN_PUBLIC_URL")


@pytest.mark.parametrize(
    "given",
    ["hub.example.org", "ftp://h.example.org", "https://", "https://u:p@h.example.org", "http://[",
     "https://h.example.org/?a=b", "https://h.example.org/#x", "https://h.example.org:99999",
     "https://h.example.org/\r\nX: y"],
)  # fmt: skip
def test_what_is_no_address_is_one_sentence_that_does_not_repeat_secrets(given: str):
    with pytest.raises(SettingsError, match="IMGOPEN_PUBLIC_URL must be") as caught:
        addresses({"IMGOPEN_PUBLIC_URL": given})
    assert "u:p" not in str(caught.value)
    assert "X: y" not in str(caught.value)


@pytest.mark.parametrize("name", ["BINDER_SERVICE_HOST", "BINDER_LAUNCH_HOST"])
def test_binder_has_no_public_address_unless_it_is_given(name: str):
    environ = HUB | {name: "x", "JUPYTERHUB_PUBLIC_URL": "https://hub.mybinder.org/user/x/"}
    assert urls(environ) == [HUB["IMGOPEN_SERVER"]]
    assert "Binder" in why_not_public(environ)
    assert urls(environ | {"IMGOPEN_PUBLIC_URL": "https://h.example.org"})[0].startswith(
        "https://h"
    )


@pytest.mark.parametrize(
    ("host", "private"),
    [("127.0.0.1", True), ("10.1.2.3", True), ("192.168.0.7", True), ("169.254.1.1", True),
     ("::1", True), ("fe80::1%eth0", True), ("localhost", True), ("LOCALHOST.", True),
     ("hub", True), ("printer.local", True), ("a.internal", True), ("", True),
     ("8.8.8.8", False), ("2600::1", False), ("hub.example.org", False), ("localhost.org", False)],
)  # fmt: skip
def test_which_hosts_are_private(host: str, private: bool):
    assert is_private(host) is private


@given(st.text())
def test_any_text_is_an_address_or_one_sentence(text: str):
    environ = {"IMGOPEN_PUBLIC_URL": text}
    found = []
    with contextlib.suppress(SettingsError):
        found = addresses(environ)
    assert all(a.url.startswith(("http://", "https://")) and a.url.endswith("/") for a in found)
