"""Exports: what a build holds, in the files that a trainer reads, cut to the size it wants."""
