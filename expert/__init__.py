"""Stages 1 and 2: PPO experts and the demonstrations they leave behind."""
