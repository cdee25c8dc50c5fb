"""The sandbox's tasks: queued, computed, kept as files, delivered by callbacks."""
