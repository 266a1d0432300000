"""The key of an artefact: it stands for every value that made it."""

from __future__ import annotations

from typing import Any

from gailfe.storage.store import artifact_key

RECIPE = {"version": 1, "env": {"id": "Hopper-v5"}, "sizes": [64, 64], "seed": 0}


def changed(value: Any) -> list[Any]:
    """`value` with one leaf at a time changed, added or gone."""
    if isinstance(value, dict):
        inner = [{**value, key: other} for key, item in value.items() for other in changed(item)]
        gone = [{k: v for k, v in value.items() if k != key} for key in value]
        return [*inner, *gone, {**value, "new": 1}]
    if isinstance(value, list):
        return [[*value, 1], [*value[:-1], -1]]
    return [f"{value}x"]


def test_the_key_changes_with_every_value_of_the_recipe_and_no_two_share_one() -> None:
    recipe = {**RECIPE, "rate": 3e-4, "anneal": True, "target": None, "order": [1, 2]}
    recipes = [recipe, {**recipe, "order": [2, 1]}, *changed(recipe)]
    assert len(recipes) > 20
    assert len({artifact_key(r) for r in recipes}) == len(recipes)


def test_the_key_does_not_depend_on_the_order_of_keys() -> None:
    backwards = {**dict(reversed(RECIPE.items())), "env": dict(reversed(RECIPE["env"].items()))}  # type: ignore[attr-defined]
    assert list(backwards) != list(RECIPE)
    assert artifact_key(backwards) == artifact_key(RECIPE)
