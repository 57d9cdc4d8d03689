"""What a search found: its metadata, its result and how both are read back."""
