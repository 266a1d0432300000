"""A policy's files: a flipped bit is named, wherever it is, and files of earlier versions are still read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from helpers import make_policy
from safetensors.torch import load_file, save_file

import gailfe
from gailfe.nn.policy_file import ARCHITECTURE, WEIGHTS, read_policy, save_policy, saved_iteration
from gailfe.nn.stochastic import StochasticPolicy
from gailfe.storage.store import ArtifactError


@pytest.fixture
def policy(tmp_path: Path) -> StochasticPolicy:
    """A small one, saved in `tmp_path`."""
    made = make_policy(1, 1)
    save_policy(tmp_path, made, 40)
    return made


def same(policy: StochasticPolicy, other: StochasticPolicy) -> bool:
    ours, theirs = policy.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_no_flipped_bit_gives_another_policy_or_another_iteration(
    policy: StochasticPolicy, tmp_path: Path
) -> None:
    refused: list[str] = []
    for name in (WEIGHTS, ARCHITECTURE):
        whole = (tmp_path / name).read_bytes()
        for at in range(len(whole)):
            (tmp_path / name).write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
            try:
                found = read_policy(tmp_path)
            except ArtifactError as error:
                refused.append(str(error))
            else:
                assert same(found, policy), f"byte {at} of {name}"
                assert saved_iteration(tmp_path) == 40
        (tmp_path / name).write_bytes(whole)
    assert len(refused) > 900
    assert all(str(tmp_path) in said for said in refused)
    assert same(read_policy(tmp_path), policy)


def test_the_same_policy_gives_the_same_bytes(policy: StochasticPolicy, tmp_path: Path) -> None:
    before = (tmp_path / WEIGHTS).read_bytes()
    for _ in range(5):
        save_policy(tmp_path, policy, 40)
        assert (tmp_path / WEIGHTS).read_bytes() == before


@pytest.mark.parametrize(("metadata", "iteration"), [(None, None), ({"iteration": "7"}, 7)])
def test_files_from_before_there_were_checksums_are_still_read(
    policy: StochasticPolicy, tmp_path: Path, metadata: dict[str, str] | None, iteration: int | None
) -> None:
    save_file(load_file(tmp_path / WEIGHTS), tmp_path / WEIGHTS, metadata)
    assert same(read_policy(tmp_path), policy)
    assert saved_iteration(tmp_path) == iteration
    architecture = json.loads((tmp_path / ARCHITECTURE).read_text())
    for wrong in ([1], None, {**architecture, "hidden_sizes": "two"}, {**architecture, "activation": 3}):
        (tmp_path / ARCHITECTURE).write_text(json.dumps(wrong))
        with pytest.raises(ArtifactError, match=str(tmp_path)):
            gailfe.load_policy(tmp_path)
