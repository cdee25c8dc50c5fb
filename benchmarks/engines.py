"""CPU and memory of every sandbox engine on a sample photograph, one process each."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

Row = tuple[str, str, str]
# Operation -> parameters; "CAT", "FACE", "FACES", "SMALL" and "MASK" stand for pictures.
CALLS: dict[str, dict[str, Any]] = {
    "describe": {"image": "CAT", "model": "clip"},
    "style": {"image": "CAT"},
    "detect-faces": {"image": "FACES"},
    "face-swap": {"face": "FACE", "image": "FACES"},
    "face-swap-v2": {"face": "FACE", "image": "FACES", "fidelity": 0.5},
    "face-fusion": {"faces": ["FACE"], "image": "FACES"},
    "face-restore": {"image": "FACE"},
    "instant-id": {"image": "FACE", "prompt": "a ceramic doll"},
    "remove-background": {"image": "CAT"},
    "upscale": {"image": "SMALL", "scale": 4},
    "enlarge": {"image": "CAT", "scale": 2},
    "watermark": {"image": "CAT", "text": "x", "position": "tile", "opacity": 0.5},
    "erase": {"image": "CAT", "mask": "MASK"},
    "outpaint": {"image": "SMALL", "vertical": 1.25, "horizontal": 1.5, "count": 1},
    "hairstyle": {"image": "FACES", "hair": "red"},
    "control-preview": {"image": "CAT", "preprocessor": "canny"},
    "expand-prompt": {"prompt": "a girl", "mode": 0},
    "text2image": {"prompt": "a fox", "batch_size": 1},
    "flux": {"prompt": "a fox"},
}
RUN = """
import json, resource, sys, time
from PIL import Image
from imgopen_nb.images import samples
from imgopen_nb.sandbox import engines
name, params = sys.argv[1], json.loads(sys.argv[2])
def photo(label): return Image.open(samples()[label]).convert("RGB")
cat = photo("chelsea")
mask = Image.new("RGB", cat.size)
mask.paste((255, 255, 255), (20, 20, 140, 120))
made = {"CAT": cat, "FACE": photo("grace_hopper"), "FACES": photo("astronaut"),
        "SMALL": cat.resize((128, 85)), "MASK": mask}
class Work:
    def __init__(self): self.params = params
    calls = 0
    def picture(self, key):
        # One pixel differs each time, so that nothing is remembered from the call before.
        Work.calls += 1
        image = made[params[key]].copy()
        image.putpixel((0, 0), (Work.calls, 0, 0))
        return image
    def pictures(self, key): return [made[label].copy() for label in params[key]]
    def save(self, image, suffix="png"): return "http://127.0.0.1/x.png"
    def progress(self, fraction, preview=None): pass
run = engines.load()[name].run
run(Work())
def timed():
    begun = time.process_time()
    run(Work())
    return time.process_time() - begun
print(min(timed() for _ in range(3)), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def rows() -> Iterator[Row]:
    base: float | None = None
    for name, params in CALLS.items():
        command = [sys.executable, "-c", RUN, name, json.dumps(params)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds, memory = done.stdout.split()
        base = base or float(seconds)
        ratio = f"{float(seconds) / base:.2f} x describe; {memory} MiB"
        yield name, f"{float(seconds):.2f} CPU s", ratio
