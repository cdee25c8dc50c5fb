"""The sandbox's tasks: queued, worked at, kept as files, called back about."""
