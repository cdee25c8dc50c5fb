"""`doctor`: what a bug report needs, from a history that is new."""

from __future__ import annotations

from imgopen_nb.commands.doctor import CHECKS, examine
from imgopen_nb.session import Session

from ..conftest import KEY_ID, KEY_SECRET


def test_a_new_session_is_examined_without_showing_its_key(session: Session):
    table = examine(session, CHECKS)

    found = dict(table.rows)
    assert list(found) == list(CHECKS)
    assert "imgopen-nb " in found["packages"]
    assert found["backend"] == "real"
    assert "answers (" in found["service"]
    assert found["history"].startswith("0 tasks, ")
    assert "TROUBLE" not in repr(table)
    assert KEY_ID not in repr(table)
    assert KEY_SECRET not in repr(table)
