"""What makes the split faster and changes nothing: composed tables, and windows of 16 bytes."""
