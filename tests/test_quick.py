"""The README's first command after the installation, as printed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd

README = Path(__file__).parents[1] / "README.md"


def test_first_command_ends_in_a_figure_of_agents_that_have_learned(tmp_path):
    printed = re.search(r"<!-- run -->\n```bash\n(.*)\n```", README.read_text())
    assert printed is not None
    *_, install, command = printed[1].split(" && ")
    assert install.startswith("pip install")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB")}
    done = subprocess.run(
        [sys.executable, *command.split()[1:]],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "runs/quick/figure1.png").stat().st_size > 10_000
    for algo in ("gail", "gailfe"):
        run = tmp_path / f"runs/quick/halfcheetah/{algo}/seed=0"
        returns = pd.read_csv(run / "metrics.csv")["eval_return_mean"].dropna()
        expert = json.loads((run / "expert.json").read_text())["eval_return_mean"]
        assert expert > 1000
        assert returns.iloc[-1] > 0.2 * expert
