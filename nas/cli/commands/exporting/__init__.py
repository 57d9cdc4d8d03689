"""The work of `nas export`."""
