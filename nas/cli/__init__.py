"""The commands. `main` has the list; one file a command."""
