"""What people click: forms, studio, painter, slider, gallery, caption board, history browser.

Nothing here is loaded before the first of them is asked for. The browser's code lies in `static`:
plain ES modules without a build step.
"""

from pathlib import Path

STATIC = Path(__file__).parent / "static"
