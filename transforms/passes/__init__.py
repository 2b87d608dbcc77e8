"""Passes over units: tokenize, verify. Running, resuming and progress know nothing but passes."""
