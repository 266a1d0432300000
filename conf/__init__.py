"""The Hydra config groups; a package so that an installed wheel finds them too."""
