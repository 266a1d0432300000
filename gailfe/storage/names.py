"""The names of files that one package writes and another reads, and what each file holds."""

# In a run's folder, runs/<study>/<env>/<algo>/seed=<n>/
CONFIG = "config.yaml"  # the run's whole configuration, resolved
METRICS = "metrics.csv"  # a row for each iteration
RECIPE = "recipe.json"  # what decides the run's numbers: a run that resumes must have the same
EXPERT_RECORD = "expert.json"  # what the expert achieves: the horizontal line of the figure
SUMMARY = (
    "summary.json"  # of a finished run: iterations, seconds, last row, the code's origin, checksums of its files
)
POLICY_FILES = ("policy.safetensors", "policy.json")  # its weights and statistics, and how to build it
FAILURE = "failure.txt"  # why a job of a sweep failed: the error on the first line, then its traceback

# In a sweep's folder, runs/<study>/
JOBS = "jobs.json"  # every job that was ever asked for in this folder: its env, algo and seed, by its subfolder

# In an artefact's folder, artifacts/<kind>/<label>-<key>/
MANIFEST = "manifest.json"  # the recipe that the artefact was made from, and a checksum for each file

# In an expert's folder, artifacts/experts/<env>-<key>/
CURVE = "curve.csv"  # the training's rows, one for each iteration; only an expert trained here has one
EVALUATION = "evaluation.json"  # what the expert achieves: episodes, mean and standard deviation of the return
