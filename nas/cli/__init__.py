"""The commands: `main` lists them, one file each."""
