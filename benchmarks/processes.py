"""Clients and services in processes of their own, so that none has what another one loaded."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import BaseContext
from typing import Any

FRESH: BaseContext = multiprocessing.get_context("spawn")


def apart(function: Callable[..., Any], *given: Any) -> Any:
    """Return what a function of a module returns in a process of its own."""
    return next(iter(side_by_side(function, [given])))


def side_by_side(function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Return what a function returns for each call; each has its process, all at the same time."""
    calls = list(calls)
    with ProcessPoolExecutor(len(calls), FRESH) as pool:
        return [running.result() for running in [pool.submit(function, *each) for each in calls]]
