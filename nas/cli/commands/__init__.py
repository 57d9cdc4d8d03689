"""The subcommands of `nas`, one file each."""
