"""Training of one network: images in, accuracy out.

Nothing is imported here, so that `nas.training.recipe` can be read without loading torch.
"""
