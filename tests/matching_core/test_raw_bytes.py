"""Raw bytes never crash the engine, break an invariant or tell the engines apart: the fuzz target on drawn inputs."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def target():
    path = Path(__file__).resolve().parent.parent / "fuzz" / "atheris_process.py"
    spec = importlib.util.spec_from_file_location("cpx_atheris_process", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_two_thousand_inputs_of_raw_bytes_do_no_harm(target, compiled_class):
    if getattr(compiled_class, "RULES_VERSION", 1) < 2:
        pytest.skip("the compiled engine has not all rules yet")
    for data in target.drawn(2_000, seed=5):
        target.one_input(data, compiled_class)


def test_the_target_reaches_the_inside_of_the_engine(target, reference_class):
    """Most inputs carry commands that are accepted: else the fuzz would only ever see refusals."""
    kinds = set()
    for data in target.drawn(100, seed=6):
        if len(data) >= target.HEAD:
            engine = target.engine_of(reference_class, data)
            kinds |= {event.kind for event in engine.process(b"".join(target.commands_of(data)))}
    assert len(kinds) > 20


def test_the_target_notices_an_engine_that_reads_too_little(target, reference_class):
    class Short(reference_class):
        def process(self, commands, first_seq=1, seq_step=1):
            return super().process(bytes(commands)[:256], first_seq, seq_step)

    with pytest.raises(AssertionError):
        for data in target.drawn(20, seed=7):
            target.one_input(data, Short)
