"""What a terminal shows while something runs, and what is logged where there is none."""
