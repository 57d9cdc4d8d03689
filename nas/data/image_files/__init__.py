"""One image file: which are taken, how they are opened, and what their pixels mean."""
