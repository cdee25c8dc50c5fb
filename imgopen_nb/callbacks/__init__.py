"""Signed public addresses, for callbacks and images, and the inbox of callbacks that came."""
