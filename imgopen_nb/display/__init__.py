"""Templates, tables and bars for everything that is shown; knows no tasks and no captions."""
