"""Where earlier versions kept `JsonArray`: frames that were pickled name this module."""

from .history.json_dtype import JsonArray, JsonDtype

__all__ = ["JsonArray", "JsonDtype"]
