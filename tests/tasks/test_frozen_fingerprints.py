"""The fingerprints of calls as earlier versions wrote them: nobody pays again for what they have.

`data/fingerprints.json` was written before the modules moved. A change here makes every history
forget what was asked before, so a new cache_key has to look the old one up too.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.session import Session

CALLS = json.loads((Path(__file__).parents[1] / "data" / "fingerprints.json").read_text("utf-8"))
RED_PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)
PATHS = "describe=/AIGCImgOpenServ/saas/tool/true/describe"


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call['backend']} {call['operation']}")
def test_a_call_has_the_fingerprint_that_earlier_versions_wrote(
    call: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path("picture.png").write_bytes(base64.b64decode(RED_PIXEL))
    keys = {} if call["backend"] in ("sandbox", "models") else real_keys()
    if call["backend"] == "told":
        monkeypatch.setenv("IMGOPEN_PATHS", PATHS)
    if call["backend"] == "models":
        monkeypatch.setenv("IMGOPEN_TAGGER", "owner/tagger")
    with Session(**keys) as session:
        found = session.manager.submitter.cache_key(OPERATIONS[call["operation"]], call["params"])

    assert found == call["fingerprint"]


def test_more_than_thirty_of_them_are_kept():
    assert sum(call["fingerprint"] is not None for call in CALLS) >= 30


def real_keys() -> dict[str, str]:
    """Return the access key and the address of a real service, which nobody asks."""
    url = "https://images.example.org/api"
    return {"base_url": url, "access_key_id": "id-1", "access_key_secret": "secret-1"}
