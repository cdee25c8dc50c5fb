"""The tasks so far: filtered, as DataFrames, exported and imported."""
