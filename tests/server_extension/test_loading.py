"""The extension as a server finds it: enabled, light, and at the right addresses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from imgopen_nb.server_extension.extension import local_address, routes

ALICE = "/user/al%C3%ADce/"
ADDRESSES = {
    "http://127.0.0.1:8888/": {},
    "http://127.0.0.1:8888/user/al%C3%ADce/": {"ip": "0.0.0.0", "base_url": ALICE},
    "http://127.0.0.1:8888/user/%C3%AD/": {"ip": "", "base_url": "/user/í/"},
    "http://127.0.0.1:8888/a/": {"ip": "*", "base_url": "/a"},
    "http://[::1]:8888/": {"ip": "::"},
    "https://[fe80::1]:8888/": {"ip": "fe80::1", "certfile": "/a/file"},
    "http://10.0.0.7:8888/": {"ip": "10.0.0.7"},
    "": {"sock": "/a/socket"},
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_kernels_get_the_address_that_this_machine_can_reach(address: str):
    usual = {"ip": "localhost", "port": 8888, "base_url": "/", "sock": "", "certfile": ""}
    server: Any = SimpleNamespace(**{**usual, **ADDRESSES[address]})

    assert local_address(server) == address


def test_the_base_url_is_known_by_all_its_spellings():
    paths = {route[0]: route[1].__name__ for route in routes("/a.b/al%C3%ADce/", *[Any] * 2)}

    def found(path: str) -> str:
        return next((n for p, n in paths.items() if re.fullmatch(p, path)), "")

    assert found("/a.b/al%C3%ADce/imgopen/files/x") == "Picture"
    assert found("/a.b/al%c3%adce/imgopen/callback/x/y") == "Callback"
    assert found("http://h:1/a.b/al%C3%ADce/imgopen/files/x") == "Picture"
    assert found("/a.b/al%C3%ADce/imgopen/sandbox") == "SandboxPages"
    assert found("/a.b/al%C3%ADce/imgopen/sandboxes") == "NotFound"
    assert found("/a.b/al%C3%ADce/imgopen%2Ffiles/x") == "NotFound"
    assert found("/axb/al%C3%ADce/imgopen/files/x") == ""
    assert found("/a.b/AL%C3%ADce/imgopen/files/x") == ""


def test_it_is_enabled_by_being_installed():
    done = subprocess.run(
        [sys.executable, "-m", "jupyter", "server", "extension", "list"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert re.search(r"imgopen_nb\S* .*enabled", said), said
    assert re.search(r"imgopen_nb \S+ .*OK", said), said


def test_it_loads_nothing_that_only_a_request_needs():
    """What it costs is printed: a few milliseconds beside some hundred of the server's own."""
    code = (
        "import json, sys, time\n"
        "import jupyter_server.serverapp\n"
        "before, began = set(sys.modules), time.perf_counter()\n"
        "import imgopen_nb.server_extension.extension\n"
        "took = time.perf_counter() - began\n"
        "print(json.dumps([took, sorted(set(sys.modules) - before)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    took, modules = json.loads(done.stdout)
    print(f"\nthe extension's import: {1000 * took:.1f} ms")
    ours = {name for name in modules if name.startswith("imgopen_nb.")}
    package = {"", ".extension", ".handlers", ".sandbox_proxy"}
    needed = {"_version", "pandas_accessor", "errors", "text", "database", "database.interrupts"}
    needed |= {f"server_extension{name}" for name in package}
    assert ours == {f"imgopen_nb.{name}" for name in needed}


@pytest.mark.parametrize("module", ["ipykernel_launcher", "jupyter_server", "jupyterlab", "voila"])
def test_a_test_without_its_marker_starts_no_kernel_and_no_server(module: str):
    """Else `make check` would start it too."""
    with pytest.raises(AssertionError, match=r"is no (kernel|server) test"):
        subprocess.run([sys.executable, "-m", module, "--version"], check=False)
