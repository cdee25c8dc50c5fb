"""What the sd family's content check says of a picture; the sandbox has none and says clean."""

from __future__ import annotations

from typing import Any

CLEAN: dict[str, Any] = {
    "image_status": 1,
    "img_audit_status": True,
    "img_audit": [{"confidence": None, "label": "nonLabel"}],
}
