"""The worked examples of CONTRIBUTING.md run as they stand there."""

from __future__ import annotations

import re

import pytest
from conftest import ROOT

from beamfold.arrays import Kind
from beamfold.measures import Measure
from beamfold.method import Method
from beamfold.testing import check_method

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)


def test_the_examples_run_and_the_method_keeps_the_contract():
    space: dict[str, object] = {}
    for block in BLOCKS:
        exec(block, space)
    assert "matched" in space
    assert isinstance(space["MEASURE"], Measure)
    assert space["KIND"].make(12, 4).same_as(space["overlapped"](12, 4))
    with pytest.raises(AssertionError, match="a_fall_below_the_start_is_named"):
        check_method(space["matched"])  # the exception that the example declares is needed


def test_the_example_record_says_what_holds():
    space: dict[str, object] = {}
    exec(BLOCKS[0], space)
    record = space["METHOD"]
    assert isinstance(record, Method)
    assert record.function is space[record.name]
    assert record.supports.device and record.options == ()


def test_the_example_array_has_a_name():
    space: dict[str, object] = {}
    for block in BLOCKS:
        if "circle_array" in block and "KIND" in block:
            exec(block, space)
    kind = space["KIND"]
    assert isinstance(kind, Kind)
    assert kind.make("5", 9).antennas == 5 and kind.make("", 9).antennas == 9
