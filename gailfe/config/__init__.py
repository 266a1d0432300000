"""The schema of conf/, its checks, and the folders that follow from it."""
