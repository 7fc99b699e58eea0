"""What docs/clients.md quotes stands in the programs, letter by letter."""

from __future__ import annotations

import re

import pytest
from service import REPOSITORY

PAGE = (REPOSITORY / "docs/clients.md").read_text()
LANGUAGES = {
    "python": ["clients/python/held_claim.py", "clients/python/holder.py"],
    "ts": ["clients/typescript/held-claim.ts", "clients/typescript/holder.ts"],
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_quoted_code_is_that_of_the_programs(language: str) -> None:
    programs = [(REPOSITORY / "docs" / name).read_text() for name in LANGUAGES[language]]
    blocks = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)
    assert len(blocks) >= 3
    for block in blocks:
        assert any(block in program for program in programs), block


def test_the_lock_file_names_no_host_to_download_from() -> None:
    lock = (REPOSITORY / "docs/clients/typescript/package-lock.json").read_text()
    assert '"resolved"' not in lock
