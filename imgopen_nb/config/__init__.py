"""Settings, the access key, and where this Jupyter Server can be reached."""
