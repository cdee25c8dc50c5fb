"""Img Open in Jupyter: magics, results inline, a history, and a sandbox that needs no key."""
