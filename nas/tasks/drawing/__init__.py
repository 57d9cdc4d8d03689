"""Class names and colors, as they are drawn on and beside images."""
