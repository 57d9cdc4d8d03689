"""The report of a NetAdapt run."""
