"""Peak memory of a batch of 100,000 images, in its own process, against one of 1,000."""

from __future__ import annotations

import os
import resource
import tempfile
from collections.abc import Iterator, Sequence

from .processes import apart
from .service import service

HEAD = ("images", "peak memory", "more than for none", "file of the history")
CONCURRENCY = 64


def rows(sizes: Sequence[int] = (0, 1_000, 100_000)) -> Iterator[tuple[str, ...]]:
    base = 0.0
    for size in sizes:
        with service() as url, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
            figures = apart(run, url, home, size)
        base = base or figures["peak"]
        yield (
            f"{size:,}",
            f"{figures['peak']:.0f} MiB",
            f"{figures['peak'] - base:.0f} MiB",
            f"{figures['file']:.0f} MiB",
        )


def run(url: str, home: str, size: int) -> dict[str, float]:
    import pandas as pd

    from imgopen_nb.session import Session

    os.environ["IMGOPEN_HOME"] = home
    # Tasks end at once: only their number matters here.
    urls = pd.Series([f"https://p.invalid/0.0/{number}" for number in range(size)], dtype="string")
    with Session(url, "an-access-key-id", "an-access-key-secret") as session:
        batch = session.map("describe", urls, model="clip", concurrency=CONCURRENCY, progress=False)
        assert len(batch.wide()) == size
        file = session.manager.table.database.path.stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"peak": peak / 1024, "file": file / 2**20}
