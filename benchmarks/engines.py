"""CPU time and peak memory of each sandbox engine, each in its own process, against a reference.

The reference is the CPU time of the bare networks and arithmetic of an engine, in seconds on a
machine with two cores. Our figure includes everything that the engine does around them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

HEAD = (
    "what", "input", "CPU s", "reference", "measured / reference", "at equal speed", "peak memory",
)  # fmt: skip


class Case(NamedTuple):
    """One call; "CAT", "FACE" ... stand for images. `reference` is None if there is none."""

    operation: str
    params: dict[str, Any]
    input: str
    reference: float | None = None


CASES = (
    Case("describe", {"image": "CAT", "model": "clip"}, "photograph, 451 × 300", 1.1),
    Case("style", {"image": "CAT"}, "photograph, 451 × 300", 0.02),
    Case("detect-faces", {"image": "FACES"}, "photograph, 512 px", 0.05),
    Case("face-swap", {"face": "FACE", "image": "FACES"}, "one pair, 512 px", 0.22),
    Case("face-fusion", {"faces": ["FACE"], "image": "FACES"}, "one pair, 512 px", 0.22),
    Case("face-swap-v2", {"face": "FACE", "image": "FACES", "fidelity": 0.5},
         "one pair, 512 px; swap + restoring", 0.42),
    Case("face-restore", {"image": "FACES"}, "a face of 107 px in 512 px", 0.2),
    Case("remove-background", {"image": "FACES"}, "photograph, 512 px", 0.6),
    Case("upscale", {"image": "SQUARE", "scale": 4}, "256 px × 4", 1.3),
    Case("enlarge", {"image": "WIDE", "scale": 4}, "600 × 400, × 4", 0.07),
    Case("watermark", {"image": "FACES", "text": "sandbox", "position": "bottom-right",
                       "opacity": 0.5}, "512 px, once", 0.003),
    Case("watermark", {"image": "FACES", "text": "sandbox", "position": "tile", "opacity": 0.5},
         "512 px, all over"),
    Case("erase", {"image": "FACES", "mask": "MASK_7"}, "512 px, a mask of 7 %", 1.7),
    Case("erase", {"image": "FACES", "mask": "MASK_40"}, "512 px, a mask of 40 %", 8.0),
    Case("control-preview", {"image": "FACES", "preprocessor": "canny"}, "canny, 512 px", 0.03),
    Case("control-preview", {"image": "FACES", "preprocessor": "lineart"},
         "lineart, 512 px", 0.01),
    Case("control-preview", {"image": "FACES", "preprocessor": "softedge"},
         "softedge, 512 px", 0.14),
    Case("control-preview", {"image": "FACES", "preprocessor": "openpose"},
         "openpose, 512 px; people found + one pose", 0.076),
    Case("expand-prompt", {"prompt": "a girl", "mode": 0}, "a prompt", 0.01),
    Case("instant-id", {"image": "FACE", "prompt": "a ceramic doll"}, "960 px"),
    Case("outpaint", {"image": "SMALL", "vertical": 1.25, "horizontal": 1.5, "count": 1},
         "128 × 85"),
    Case("hairstyle", {"image": "FACES", "hair": "red"}, "512 px"),
    Case("text2image", {"prompt": "a fox", "batch_size": 1}, "a prompt"),
    Case("flux", {"prompt": "a fox"}, "a prompt"),
)  # fmt: skip
# How fast is this machine? The network u2netp alone, set up as for its reference figure.
YARDSTICK = 0.573
NETWORK = """
import sys, time, numpy, onnxruntime
from imgopen_nb.sandbox.vision.networks import MODELS
options = onnxruntime.SessionOptions()
options.enable_cpu_mem_arena = options.enable_mem_pattern = False
options.intra_op_num_threads = 2
network = onnxruntime.InferenceSession(MODELS / "u2netp.onnx", options)
feed = {network.get_inputs()[0].name: numpy.ones((1, 3, 320, 320), numpy.float32)}
def timed():
    begun = time.process_time()
    network.run(None, feed)
    return time.process_time() - begun
rounds = int(sys.argv[1])
if rounds > 1: timed()
print(min(timed() for _ in range(rounds)))
"""
RUN = """
import json, resource, sys, time
from PIL import Image
from imgopen_nb.images.picture import samples
from imgopen_nb.sandbox import engines
rounds, name, params = int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
def photo(label): return Image.open(samples()[label]).convert("RGB")
cat = photo("chelsea")
faces = photo("astronaut")
def mask(share):
    side, whole = round(512 * share ** 0.5), Image.new("RGB", (512, 512))
    corner = (512 - side) // 2
    whole.paste((255, 255, 255), (corner, corner, corner + side, corner + side))
    return whole
made = {"CAT": cat, "FACE": photo("grace_hopper"), "FACES": faces, "SMALL": cat.resize((128, 85)),
        "SQUARE": faces.resize((256, 256)), "WIDE": faces.resize((600, 400)),
        "MASK_7": mask(0.07), "MASK_40": mask(0.4)}
class Work:
    def __init__(self): self.params = params
    calls = 0
    def picture(self, key):
        # One pixel differs each time, so that no result of an earlier call is used again.
        Work.calls += 1
        image = made[params[key]].copy()
        image.putpixel((0, 0), (Work.calls, 0, 0))
        return image
    def pictures(self, key): return [made[label].copy() for label in params[key]]
    def each_picture(self, key): return iter(self.pictures(key))
    def save(self, image, suffix="png"): return "http://127.0.0.1/x.png"
    def progress(self, fraction, preview=None): pass
run = engines.load()[name].run
if rounds > 1: run(Work())
def timed():
    begun = time.process_time()
    run(Work())
    return time.process_time() - begun
print(min(timed() for _ in range(rounds)))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def rows(cases: Sequence[Case] = CASES, rounds: int = 5) -> Iterator[tuple[str, ...]]:
    own = float(output(NETWORK, str(rounds)))
    slower = own / YARDSTICK
    yield (
        "the network u2netp alone",
        "320 px",
        f"{own:.3f}",
        f"{YARDSTICK}",
        f"{slower:.2f}",
        "1",
        "",
    )
    for case in cases:
        given = (str(rounds), case.operation, json.dumps(case.params))
        seconds, memory = output(RUN, *given).split()
        measured = [f"{float(seconds):.4f}", *compared(float(seconds), case.reference, slower)]
        yield case.operation, case.input, *measured, f"{memory} MiB"


def compared(seconds: float, reference: float | None, slower: float) -> tuple[str, str, str]:
    """Return the reference, our ratio to it, and that ratio corrected for this machine's speed."""
    if reference is None:
        return "-", "-", "-"
    ratio = seconds / reference
    return f"{reference}", f"{ratio:.2f}", f"{ratio / slower:.2f}"


def output(program: str, *arguments: str) -> str:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
