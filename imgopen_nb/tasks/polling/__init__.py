"""When to poll which task, and the thread pool that does it."""
