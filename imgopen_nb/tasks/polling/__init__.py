"""When to ask for which task, and one thread pool that does it."""
