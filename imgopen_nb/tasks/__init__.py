"""Tasks, from the call to the result: checked, looked up, written, sent and polled."""
