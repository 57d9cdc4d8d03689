"""Read weights that other programs have trained."""
