"""Where a vocabulary comes from: bundled tables, files, folders, the hub; and how each is read."""
