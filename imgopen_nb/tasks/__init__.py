"""A task from the call to its result: checked, looked up, written down, sent, polled."""
