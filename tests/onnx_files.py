"""Tiny ONNX files, written as protobuf by hand so that the tests need no package for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

FLOAT, INT64, BOOL = 1, 7, 9
KINDS = {"float32": FLOAT, "int64": INT64}
OPSET = 13


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def part(field: int, value: bytes | str | int) -> bytes:
    """Write one field of a protobuf message."""
    if isinstance(value, int):
        return varint(field << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(data)) + data


def tensor(name: str, values: np.ndarray) -> bytes:
    dims = b"".join(part(1, side) for side in values.shape)
    return dims + part(2, KINDS[values.dtype.name]) + part(8, name) + part(9, values.tobytes())


def integer(name: str, value: int) -> bytes:
    return part(5, part(1, name) + part(3, value) + part(20, 2))


def integers(name: str, *values: int) -> bytes:
    return part(5, part(1, name) + b"".join(part(8, each) for each in values) + part(20, 7))


def node(kind: str, inputs: str, output: str, *attributes: bytes) -> bytes:
    names = b"".join(part(1, name) for name in inputs.split())
    return names + part(2, output) + part(4, kind) + b"".join(attributes)


def mean(source: str, output: str, *axes: int) -> bytes:
    """Return the node of the mean over some axes, which vanish."""
    return node("ReduceMean", source, output, integers("axes", *axes), integer("keepdims", 0))


def value(name: str, *sides: int | str, kind: int = FLOAT) -> bytes:
    """Return an input or an output; a side that is a text is free."""
    shape = b"".join(part(1, part(1 if isinstance(side, int) else 2, side)) for side in sides)
    return part(1, name) + part(2, part(1, part(1, kind) + part(2, shape)))


def model(
    nodes: Sequence[bytes],
    weights: dict[str, np.ndarray],
    inputs: Sequence[bytes],
    outputs: Sequence[bytes],
) -> bytes:
    graph = b"".join(part(1, each) for each in nodes) + part(2, "tiny")
    graph += b"".join(part(5, tensor(*row)) for row in weights.items())
    graph += b"".join(part(11, each) for each in inputs)
    graph += b"".join(part(12, each) for each in outputs)
    return part(1, 8) + part(7, graph) + part(8, part(1, "") + part(2, OPSET))


def floats(*rows: Any) -> np.ndarray:
    return np.array(rows, np.float32)
