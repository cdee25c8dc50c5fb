"""Signed public addresses, for callbacks and pictures, and the inbox of callbacks that came."""
