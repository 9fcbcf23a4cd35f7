"""Models and checkpoints: every field of their metadata is checked; step sizes come without pickle."""

import json
import math
import pickle
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
import torch
from conftest import three_beams
from safetensors.torch import load, save

from beamfold import ModelInfo, UnfoldedPGA
from beamfold.channel import saleh_valenzuela
from beamfold.files.atomic import FileError
from beamfold.files.metadata import parse
from beamfold.files.models import (
    Checkpoint,
    import_steps,
    load_checkpoint,
    load_model,
    save_checkpoint,
    save_model,
    shipped_models,
)
from beamfold.timing import peak_memory_mib
from beamfold.training import Position, Progress, Recipe, train

RECIPE = Recipe(layers=3, inner=2, epochs=9)
DATA = {"antennas": 8, "users": 2, "chains": 3, "count": 20, "targets_deg": [0.0], "psi": None}
MU = torch.linspace(0.01, 0.05, 6, dtype=torch.float64).reshape(3, 2)


def _model() -> UnfoldedPGA:
    info = ModelInfo(8, 2, 3, 1 / 8, note="test", curve=(1.0, math.nan), extra={"a": [1]})
    return UnfoldedPGA.from_steps(MU, MU[:, 0], info)


def _moments() -> dict[str, torch.Tensor]:
    found = {}
    for name, shape in (("mu", (3, 2)), ("lam", (3,))):
        found |= {f"{name}.step": torch.tensor(4.0)}
        found |= {f"{name}.{part}": torch.full(shape, 0.5) for part in ("exp_avg", "exp_avg_sq")}
    return found


@pytest.fixture
def model(tmp_path):
    save_model(tmp_path / "m.safetensors", _model())
    return tmp_path / "m.safetensors"


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, RECIPE, DATA, Progress(2, (1.0, math.nan), 1, model=_model(), moments=_moments()))
    return path


def _rewrite(path, change) -> None:
    """The file again with its texts and tensors changed in place by `change(meta, tensors)`."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    meta = json.loads(data[8 : 8 + length])["__metadata__"]
    tensors = load(data)
    change(meta, tensors)
    path.write_bytes(save(tensors, metadata=meta))


def _set(path, part: str, key: str, value) -> None:
    def change(meta, tensors):
        held = json.loads(meta[part])
        held[key] = value
        meta[part] = json.dumps(held)

    _rewrite(path, change)


@pytest.mark.parametrize(
    "held", [RECIPE, Recipe(clip=2.5, seed=9), Position(2, (1.0, 2.0), 1), _model().info]
)
def test_what_is_written_of_a_class_is_read_as_that_class(held):
    """One schema: the class itself. NaN of a curve differs from itself, so the texts are compared."""
    text = json.dumps(asdict(held))
    assert json.dumps(asdict(parse(type(held), text, Path("m"), "part"))) == text


def test_a_new_option_of_training_is_one_field():
    """An older checkpoint, which lacks it, has its default."""

    @dataclass(frozen=True)
    class Newer(Recipe):
        warmup: int = 0

    old, new = json.dumps(asdict(RECIPE)), json.dumps({**asdict(RECIPE), "warmup": 3})
    assert parse(Newer, old, Path("m"), "recipe") == Newer(**asdict(RECIPE))
    assert parse(Newer, new, Path("m"), "recipe").warmup == 3
    with pytest.raises(FileError, match=r"unknown recipe\.warmup, it may come from a newer version"):
        parse(Recipe, new, Path("m"), "recipe")


def test_a_checkpoint_of_version_0_1_opens_and_goes_on():
    held = load_checkpoint(Path(__file__).with_name("data") / "checkpoint-0.1.safetensors")
    assert held.recipe == Recipe(layers=3, inner=2, epochs=4, batch=10, seed=7)
    assert held.data == {**DATA, "targets_deg": [0.0]}
    assert (held.progress.epoch, held.progress.skipped) == (2, 0)
    assert held.progress.model.info.curve == held.progress.curve
    H = saleh_valenzuela(8, 2, 20, seed=7)
    *_, last = train(held.recipe, H, three_beams(8, [0.0]), progress=held.progress)
    assert last.epoch == 4 and last.curve[:2] == held.progress.curve
    assert not torch.equal(last.model.mu, held.progress.model.mu)


def test_every_shipped_model_opens():
    for path in shipped_models().values():
        assert load_model(path).info.antennas in (32, 64)


def test_a_checkpoint_comes_back(checkpoint):
    held = load_checkpoint(checkpoint)
    assert isinstance(held, Checkpoint)
    assert held.recipe == RECIPE
    assert held.recipe.clip == math.inf
    assert held.data == DATA
    assert (held.progress.epoch, held.progress.skipped) == (2, 1)
    assert held.progress.curve[0] == 1.0 and math.isnan(held.progress.curve[1])
    for name, moment in _moments().items():
        assert torch.equal(held.progress.moments[name], moment.double())
    assert torch.equal(load_model(checkpoint).mu, MU)  # a checkpoint is a model too


WRONG = [
    ("antennas", 0), ("antennas", "8"), ("antennas", 8.5), ("antennas", True), ("antennas", 1 << 40),
    ("antennas", None), ("users", -1), ("users", 4), ("chains", 9), ("chains", []), ("eta", 0), ("eta", 1.5),
    ("eta", math.nan), ("eta", "x"), ("digital", "analog"), ("digital", 1), ("weight", -0.1),
    ("weight", math.inf), ("snr_db", [0]), ("snr_db", [0, math.nan]), ("snr_db", "ab"), ("seed", -1),
    ("seed", 1.5), ("seed", 1 << 70), ("note", 3), ("note", "x" * 20_000), ("curve", ["a"]), ("curve", 3.0),
    ("extra", []), ("extra", "x"), ("network", "subarays"), ("network", 1),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_a_wrong_field_of_a_model_is_named(model, key, value):
    _set(model, "info", key, value)
    with pytest.raises(FileError, match=rf"bad metadata: info.*({key}|K <= M <= N)"):
        load_model(model)


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        *(("recipe", key, value) for key in ("layers", "inner", "epochs", "batch") for value in (0, "3")),
        ("recipe", "rate", math.nan), ("recipe", "decay", "x"), ("recipe", "snr_db", [0, 1, 2]),
        ("recipe", "weight", -1), ("recipe", "digital", ""), ("recipe", "initial", None),
        ("recipe", "clip", "inf"), ("recipe", "seed", -1), ("data", "antennas", 0), ("data", "users", "2"),
        ("data", "chains", 2.0), ("data", "count", 0), ("data", "targets_deg", 5), ("data", "psi", 5),
        ("data", "targets_deg", [math.inf]), ("at", "epoch", -1), ("at", "epoch", 1.5), ("at", "curve", "x"),
        ("at", "skipped", -1),
    ],
)  # fmt: skip
def test_a_wrong_field_of_a_checkpoint_is_named(checkpoint, part, key, value):
    _set(checkpoint, part, key, value)
    with pytest.raises(FileError, match=rf"bad metadata: {part}\b.*\b{key}\b"):
        load_checkpoint(checkpoint)


@pytest.mark.parametrize(("part", "read"), [("info", load_model), ("at", load_checkpoint)])
def test_unknown_and_missing_fields_are_named(checkpoint, part, read):
    _set(checkpoint, part, "colour", "red")
    with pytest.raises(FileError, match=rf"unknown {part}\.colour, it may come from a newer version"):
        read(checkpoint)

    def drop(meta, tensors):
        held = json.loads(meta[part])
        gone = held.pop("antennas" if part == "info" else "epoch")
        del held["colour"]
        assert gone
        meta[part] = json.dumps(held)

    _rewrite(checkpoint, drop)
    with pytest.raises(FileError, match=rf"{part}\.\w+ is missing"):
        read(checkpoint)


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "", "9" * 6000, "null", '"\\ud800"'])
def test_metadata_that_are_no_such_json_are_refused(model, text):
    _rewrite(model, lambda meta, tensors: meta.update(info=text))
    with pytest.raises(FileError, match="bad metadata: info"):
        load_model(model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda meta, t: meta.update(colour="red"), "unknown metadata colour"),
        (lambda meta, t: meta.pop("info"), "lack the sizes"),
        (lambda meta, t: meta.update(format="other"), "its format is 'other'"),
        (lambda meta, t: t.update(more=torch.ones(1)), "unknown tensors more"),
        (lambda meta, t: t.pop("lam"), "lacks the step sizes"),
        (lambda meta, t: t.update(mu=t["mu"].long()), "mu holds torch.int64"),
        (lambda meta, t: t.update(lam=t["lam"] > 0), "lam holds torch.bool"),
        (lambda meta, t: t.update(mu=t["mu"][:2]), r"found \(2, 2\) and \(3,\)"),
        (lambda meta, t: t.update(lam=t["lam"] * math.inf), "NaN or Inf"),
    ],
)
def test_parts_of_a_model_that_contradict_each_other_are_refused(model, change, message):
    _rewrite(model, change)
    with pytest.raises(FileError, match=message):
        load_model(model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda meta, t: meta.pop("at"), "not a training checkpoint"),
        (lambda meta, t: t.pop("mu.step"), "Adam's state is"),
        (lambda meta, t: t.update({"lam.exp_avg": torch.ones(2)}), r"lam.exp_avg is \(2,\), expected \(3,\)"),
        (lambda meta, t: t.update({"mu.exp_avg": MU * math.nan}), "expected .* and finite"),
        (lambda meta, t: t.update(mu=torch.ones(3, 4)), r"mu is \(3, 4\), its recipe says \(3, 2\)"),
    ],
)
def test_parts_of_a_checkpoint_that_contradict_each_other_are_refused(checkpoint, change, message):
    _rewrite(checkpoint, change)
    with pytest.raises(FileError, match=message):
        load_checkpoint(checkpoint)


@pytest.mark.parametrize(
    ("part", "key", "value", "message"),
    [
        ("data", "antennas", 16, "training set for"),
        ("at", "curve", [1.0], "at epoch 2 with 1 values"),
        ("at", "epoch", 10, "at epoch 10 with 2 values"),
        ("recipe", "epochs", 1, "it is at epoch 2 of 1"),
    ],
)
def test_a_checkpoint_whose_position_cannot_be_is_refused(checkpoint, part, key, value, message):
    _set(checkpoint, part, key, value)
    with pytest.raises(FileError, match=message):
        load_checkpoint(checkpoint)


def _pth(path, data, number=b"\0" * 80, name="data/0"):
    """A .pth whose description is `data`, as bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", data)
        archive.writestr(f"a/{name}", number)
        archive.writestr("a/version", "3\n")
    return path


def test_a_strided_view_is_read_as_torch_reads_it(tmp_path):
    whole = torch.arange(60.0).reshape(5, 2, 6)
    view = whole.permute(2, 0, 1)[1:4]
    torch.save({"other": whole, "step_size": torch.nn.Parameter(view)}, tmp_path / "s.pth")
    model = import_steps(tmp_path / "s.pth", antennas=8, users=2, chains=2)
    assert torch.equal(model.mu.detach(), view[..., 0].T.double())
    assert torch.equal(model.lam.detach(), view[0, :, 1].double())


class Trap:
    def __reduce__(self):
        return (open, ("trapped", "w"))


def test_no_code_of_a_pickle_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for protocol in (2, 4):
        for value in ({"step_size": Trap()}, Trap(), [Trap()]):
            path = _pth(tmp_path / "s.pth", pickle.dumps(value, protocol=protocol))
            with pytest.raises(FileError, match="need code to load"):
                import_steps(path, antennas=8, users=2, chains=2)
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize(
    ("swap", "message"),
    [
        ((b"K\x05K\x02\x86", b"K\x05K\x03\x86"), "storage"),
        ((b"K\x05K\x02\x86", b"J\xff\xff\xff\xffK\x02\x86"), "refused"),
        ((b"K\x05K\x02\x86", b"J\xff\xff\xff\x7fK\x02\x86"), "storage"),
        ((b"K\x0at", b"K\xfft"), r"40 bytes.* does not match expected size \(1020 bytes"),
        ((b"FloatStorage", b"IntStorage"), "torch.int32, expected float32"),
        ((b"FloatStorage", b"BoolTensor"), "need code to load .torch.BoolTensor"),
        ((b"step_size", b"step_sizX"), "no step sizes"),
        ((b"K\x02K\x01\x86", b"K\x7fK\x01\x86"), "storage"),
        ((b"K\x05K\x02\x86q", b"J\xff\xff\xff\x7fK\x02\x86q"), "storage"),
    ],
)
def test_a_tensor_that_its_numbers_do_not_bear_is_refused(tmp_path, swap, message):
    torch.save({"step_size": torch.arange(10.0).reshape(5, 2)}, tmp_path / "s.pth")
    with zipfile.ZipFile(tmp_path / "s.pth") as archive:
        data = archive.read("s/data.pkl")
        number = archive.read("s/data/0")
    assert swap[0] in data
    path = _pth(tmp_path / "t.pth", data.replace(*swap), number)
    with pytest.raises(FileError, match=message) as caught:
        import_steps(path, antennas=8, users=2, chains=2)
    assert "\n" not in str(caught.value)


def test_a_tensor_that_repeats_one_number_without_end_is_refused(tmp_path):
    """Strides of 0 describe 2**31 numbers by one, which would take 16 GiB when written out."""
    torch.save({"step_size": torch.arange(1.0).expand(1 << 31, 2)}, tmp_path / "s.pth")
    with pytest.raises(FileError, match="larger than the file"):
        import_steps(tmp_path / "s.pth", antennas=8, users=2, chains=2)


BYTES = b"\x80\x02cbuiltins\nbytearray\nJ\x00\x94\x35\x77\x85R."
STORED = b"\x80\x02ctorch\nFloatStorage\nJ\x00\x94\x35\x77\x85R."


def test_a_small_file_that_asks_for_gigabytes_takes_none(tmp_path):
    """torch.load alone takes 1.9 GiB for the first and 400 MiB for the last of these."""
    bomb = tmp_path / "bomb.pth"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        torch.save({"step_size": torch.arange(10.0).reshape(5, 2)}, tmp_path / "s.pth")
        with zipfile.ZipFile(tmp_path / "s.pth") as small:
            data = small.read("s/data.pkl")
        archive.writestr("a/data.pkl", data.replace(b"K\x0at", b"J\x00\x00\x40\x06t"))
        with archive.open("a/data/0", "w") as stream:
            for _ in range(400):
                stream.write(bytes(1 << 20))
    files = [_pth(tmp_path / f"{i}.pth", data) for i, data in enumerate((BYTES, STORED))]
    before = peak_memory_mib()
    for path, message in [(files[0], "builtins.bytearray"), (files[1], "not callable"), (bomb, "packed")]:
        with pytest.raises(FileError, match=message):
            import_steps(path, antennas=8, users=2, chains=2)
    assert peak_memory_mib() - before < 200


@pytest.mark.parametrize(
    "held",
    [
        lambda t: t,
        lambda t: {"module.step_size": t},
        lambda t: {"epoch": 3, "loss": 0.5, "state_dict": {"model.step_size": t}},
        lambda t: {"optimizer": {"state": {0: {"exp_avg": t * 2}}}, "model": {"module.step_size": t}},
        lambda t: {"step_size": t, "model": {"step_size": t}},
    ],
)
def test_step_sizes_are_found_under_the_usual_prefixes(tmp_path, held):
    steps = torch.rand(5, 2)
    torch.save(held(steps), tmp_path / "s.pth")
    model = import_steps(tmp_path / "s.pth", antennas=8, users=2, chains=2)
    assert torch.equal(model.mu.detach()[:, 0], steps[:, 0].double())


def test_several_step_sizes_are_named(tmp_path):
    torch.save({"a.step_size": torch.rand(5, 2), "b": {"step_size": torch.rand(5, 2)}}, tmp_path / "s.pth")
    with pytest.raises(FileError, match=r"several tensors of step sizes: a\.step_size, b\.step_size"):
        import_steps(tmp_path / "s.pth", antennas=8, users=2, chains=2)


def test_the_format_before_torch_1_6_is_refused(tmp_path):
    torch.save({"step_size": torch.ones(5, 2)}, tmp_path / "s.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(FileError, match=r"no \.pth file"):
        import_steps(tmp_path / "s.pth", antennas=8, users=2, chains=2)
