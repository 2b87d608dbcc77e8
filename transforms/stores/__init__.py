"""Where files lie: one module a kind of store, behind one interface (store.py)."""
