"""The command `netadapt`."""
