"""One module for each schema version, `v` and its number; a released one never changes."""
