"""What a NetAdapt run found: its metadata, its result and how both are read back."""
