"""The demo: six photographs, two models, one table and one report, all on this machine."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from .catalogue.operations import OPERATIONS
from .images.picture import samples
from .session import Session, compare, set_current

PHOTOGRAPHS = ("astronaut", "camera", "chelsea", "coffee", "grace_hopper", "rocket")


def demo(report_file: str | Path) -> int:
    """Describe the sample photographs with every model in the sandbox; print and write the result.

    Args:
        report_file: where the self-contained HTML report goes.

    Returns:
        The exit code: 0 if every picture was described.
    """
    from .captions.comparison_card import report

    begun = time.monotonic()
    with Session(backend="sandbox") as session:
        set_current(session)
        print(
            "Starting the sandbox: nothing leaves this machine, and no key is needed.", flush=True
        )
        results = session.run_all("describe", _calls())
        comparison = compare(results)
        print(comparison._repr_mimebundle_()["text/plain"])
        Path(report_file).write_text(report(comparison, "Six photographs, two models"), "utf-8")
    set_current(None)
    failed = [result for result in results if result.error]
    print(f"\n{len(results) - len(failed)} captions in {time.monotonic() - begun:.1f} s.")
    print(f"Report with pictures:  {Path(report_file).resolve()}")
    print("Go on in JupyterLab:   make lab")
    for result in failed:
        print(f"failed: {result.image} ({result.model}): {result.error}", file=sys.stderr)
    return 1 if failed else 0


def _calls() -> list[dict[str, str]]:
    models = OPERATIONS["describe"].param("model").choices
    return [
        {"image": f"sample:{name}", "model": model}
        for name in PHOTOGRAPHS
        if name in samples()
        for model in models
    ]
