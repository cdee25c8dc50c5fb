"""The Jupyter Server's side: callbacks in, published pictures out, the sandbox in the browser."""
