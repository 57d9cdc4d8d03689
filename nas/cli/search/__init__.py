"""The command `nas-search`."""
