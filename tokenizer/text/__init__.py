"""What becomes of a text before it is split: added tokens are found, the rest is normalized."""
