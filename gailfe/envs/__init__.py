"""Environments: stepping, episodes, evaluation."""
