import pytest
import torch

torch.set_num_threads(1)  # as every job of the project does


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves W&B without an account and without a server."""
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody answers there
