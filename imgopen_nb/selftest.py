"""Where notebooks of earlier versions find the doctor's test of callbacks."""

from .commands.doctor import callback_address as callbacks
from .commands.doctor import run_callback_test as reached

__all__ = ["callbacks", "reached"]
