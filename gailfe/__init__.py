"""Generative adversarial imitation learning from failed experiences: the algorithms and the pipeline."""
