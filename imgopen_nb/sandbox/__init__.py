"""Img Open on this machine: the same wire protocol, with real work done locally.

`process.SandboxProcess` starts it from a kernel, `python -m imgopen_nb.sandbox` from a shell. The
rest of the package imports nothing here but `process`; the server needs the extra `sandbox`.
"""
