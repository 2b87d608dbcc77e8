"""The compiler of split patterns: a regular expression becomes a table for the native core."""
