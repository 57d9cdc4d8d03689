"""Image files: which are accepted, how they are opened, and how their pixels are interpreted."""
