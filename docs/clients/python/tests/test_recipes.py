"""Every recipe of docs/clients.md, in their order, on a service that has seen nothing else."""

from __future__ import annotations

import os
import re
import time

import pytest
import recipes
from service import REPOSITORY

PAGE = (REPOSITORY / "docs/clients.md").read_text()
RECIPES = recipes.read(PAGE)
ADDRESS = os.environ.get("CLAIM_RECIPES_ADDRESS", "")
values: dict[str, str] = {}


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_a_recipe_answers_as_documented(recipe: recipes.Recipe) -> None:
    command = recipes.in_this_run(recipe.command, ADDRESS, values)
    answer = recipes.run(command)
    give_up_at = time.monotonic() + 30
    while "GetReaperStatus" in command and "lastPass" not in answer:
        assert time.monotonic() < give_up_at, "the reaper makes no pass"
        answer = recipes.run(command)
    assert recipes.comparable(answer) == recipes.comparable(recipe.answer)
    if recipe.answer.startswith("{"):
        if "WatchClaimEvents" in command:
            assert '"checkpoint"' in answer
        events = [[d for d in recipes.documents(a) if "checkpoint" not in d] for a in (recipe.answer, answer)]
        values.update(recipes.repeated(*events))


@pytest.mark.parametrize("service", ["claim_service", "claim_admin_service"])
def test_every_call_has_a_recipe(service: str) -> None:
    proto = (REPOSITORY / f"proto/claim/v1/{service}.proto").read_text()
    calls = re.findall(r"^  rpc (\w+)\(", proto, re.M)
    assert calls
    for call in calls:
        assert any(f"Service/{call}" in recipe.command for recipe in RECIPES), call
