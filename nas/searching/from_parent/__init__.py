"""Search the sub-networks of a pretrained network: its fine-tuning, its heirs, and their rivals."""
