"""The Jupyter Server extension: takes callbacks, serves local pictures and the sandbox's page."""
