"""What a build is on disk: its layout, its files, and how each is written and read back."""
