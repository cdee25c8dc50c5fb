"""The toolkit of everything that is shown: templates, tables, bars. It knows no task."""
