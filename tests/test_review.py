"""Defects that a review found: each of these failed before it was mended."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

import beamfold as bf
from beamfold.files.designs import design_arrays, summary
from beamfold.registry import METHODS
from beamfold.result import Fault, Status, described
from beamfold.testing import small, three_beams


def test_a_bare_psi_means_the_same_in_python_and_in_a_file(tmp_path, caplog):
    """Ψ times 7: its shape counts, the power is the SNR's; and that it was scaled is said."""
    s = small(8, 2)
    np.save(tmp_path / "psi.npy", 7 * s.Psi.numpy())
    with caplog.at_level(logging.WARNING, "beamfold"):
        ours = bf.make_scenario(s.H, 7 * s.Psi, snr_db=6)
        theirs = bf.make_scenario(s.H, bf.read_sensing(tmp_path / "psi.npy"), snr_db=6)
    assert [r.message for r in caplog.records if "trace 7" in r.message] != []
    assert len(caplog.records) == 2
    for other in (ours, theirs):
        torch.testing.assert_close(bf.phased_zf(other).tau, bf.phased_zf(s).tau, rtol=1e-12, atol=0)


def test_several_batch_axes_are_no_snrs_and_one_channel_has_a_summary():
    s = small(8, 2, count=4)
    square = bf.make_scenario(s.H.reshape(2, 2, 2, 8), s.radar, snr_db=6)
    for one, channels in ((s[0], 1), (s, 4), (square, 4)):
        (row,) = summary(bf.phased_zf(one))
        assert (row["snr_db"], row["channels"]) == (6.0, channels)
        assert design_arrays(bf.phased_zf(one))["snr_db"] == pytest.approx([6.0])
    both = bf.make_scenario(s.H, s.radar, snr_db=[0, 6])
    assert [row["snr_db"] for row in summary(bf.phased_zf(both))] == [0.0, 6.0]
    mixed = both.power.clone()
    mixed[0, 1] = 3.0
    with pytest.raises(bf.InputError, match="another axis"):
        bf.Scenario(both.H, both.radar, mixed, 2, both.weight).levels()


def test_a_part_of_several_snrs_shares_the_channels():
    """H of several SNRs is one array that is looked at several times; a part of it is not a copy."""
    s = bf.make_scenario(small(8, 2, count=6).H, three_beams(8), snr_db=[0, 6, 12])
    part = s[:, 2:4]
    assert part.H.shape == (3, 2, 2, 8)
    assert part.H.untyped_storage().data_ptr() == s.H.untyped_storage().data_ptr()
    assert s[..., 1].H.shape == (3, 2, 8)
    with pytest.raises(IndexError):
        s[0, 1, 0]


def test_every_reason_and_fault_has_its_advice():
    texts = [member.advice for member in (*Status, Fault.NONE, *Fault)]
    assert all(text.endswith(".") and len(text) > 30 for text in texts)
    assert len(set(texts)) == len(texts)
    assert (
        described(Status.CONVERGED, Fault.BELOW_START | Fault.INFEASIBLE)
        == "converged+below_start+infeasible"
    )


def test_a_fixed_depth_and_a_limit_of_iterations_are_two_things():
    s = small(8, 2)
    assert set(bf.pga(s, layers=3).status.tolist()) == {Status.FIXED_DEPTH}
    assert set(bf.fast(s, steps=1).status.tolist()) <= {Status.ITERATION_LIMIT, Status.CONVERGED}
    assert set(bf.sca(s, iterations=1).status.tolist()) == {Status.ITERATION_LIMIT}


def test_a_design_keeps_what_was_found_on_the_way():
    s = small(8, 2)
    d = bf.design(s, "fast", steps=7)
    assert d.iterations is not None and int(d.iterations.max()) <= 7
    assert d.residual is not None and d.residual.shape == s.batch
    assert d.options == {"steps": 7} and d.seconds > 0
    limited = bf.design(s, "constrained", tau_max_db=2.0, starts=1, steps=10, polish=5)
    assert limited.multiplier is not None and (limited.multiplier >= 0).all()


def test_compiled_methods_refuse_another_device_in_one_line():
    """The device "meta" has no data; it stands for any accelerator."""
    s = small(8, 2).to("meta")
    assert {s.H.device.type, s.Psi.device.type, s.radar.angles.device.type, s.power.device.type} == {"meta"}
    for name, options in (("best", {}), ("constrained", {"tau_max": 1.0})):
        with pytest.raises(bf.InputError, match=f"the method {name} is compiled code for the CPU"):
            bf.design(s, name, **options)
    with pytest.raises(bf.InputError, match="engine='kernel'"):
        bf.pga(s, engine="kernel")


def test_the_runner_gives_the_same_bits_for_any_number_of_threads():
    """What a part of a batch holds does not depend on how many threads there are."""
    s = small(64, 4, count=700)
    assert METHODS["fast"].part is None
    one, two = bf.design(s, threads=1, depth="start"), bf.design(s, threads=min(2, bf_cores()), depth="start")
    for name in ("F", "W", "rate", "tau"):
        assert torch.equal(getattr(one, name), getattr(two, name))


def bf_cores() -> int:
    from beamfold.threads import cores

    return cores()


@pytest.mark.parametrize("name", ["pga", "unfolded"])
def test_double_precision_is_an_option_of_the_layers(name):
    s = small(8, 2)
    options = {"layers": 5} if name == "pga" else {
        "model": bf.UnfoldedPGA(bf.ModelInfo(8, 2, 2, 1 / 8), layers=5, inner=2)
    }  # fmt: skip
    double = bf.design(s, name, engine="kernel", precision="double", **options)
    torch_path = bf.design(s, name, engine="torch", **options)
    torch.testing.assert_close(double.rate, torch_path.rate, rtol=1e-11, atol=0)


def test_the_page_on_results_names_every_number():
    from conftest import ROOT

    page = (ROOT / "docs" / "reference" / "results.md").read_text()
    for member in (*Status, *Fault):
        assert f"| {member.value} | {member.label} | {member.advice} |" in page


def test_a_design_as_numpy_and_as_xarray():
    s = bf.make_scenario(small(8, 2, count=3).H, three_beams(8), snr_db=[0, 6])
    d = bf.phased_zf(s)
    arrays, ds = d.numpy(), d.to_xarray()
    assert arrays["F"].shape == (2, 3, 8, 2) and arrays["snr_db"].tolist() == pytest.approx([0, 6])
    assert np.array_equal(arrays["X"], (d.F @ d.W).numpy())
    assert ds.F.dims == ("snr_db", "channel", "antenna", "chain")
    assert ds.W.dims == ("snr_db", "channel", "chain", "column")
    assert ds.rate.dims == ("snr_db", "channel") and ds.rate.attrs["units"] == "bit/s/Hz"
    assert np.array_equal(ds.H.isel(snr_db=0, channel=1), s.H[0, 1])
    assert ds.position.shape == (8, 3) and ds.attrs["method"] == "phased-zf"
    digital = bf.zf_digital(s[0]).to_xarray()
    assert digital.W.dims == ("channel", "antenna", "column") and "F" not in digital
    assert digital.attrs["snr_db"] == pytest.approx(0)
    assert bf.phased_zf(s[0, 0]).to_xarray().F.dims == ("antenna", "chain")


def test_the_axis_of_real_and_imaginary_part_is_named_as_netcdf4_reads_it(tmp_path):
    import xarray as xr

    from beamfold.experiments.labelled import complex_of, planes
    from beamfold.experiments.store import load, save

    z = small(8, 2, count=3).H.numpy()
    ds = xr.Dataset({"H": planes(("channel", "user", "antenna"), z)})
    assert ds.H.dims[-1] == "ri" and ds.sizes["ri"] == 2
    save(tmp_path / "new.nc", ds)
    save(tmp_path / "old.nc", ds.rename(ri="reim"))
    for name in ("new.nc", "old.nc"):
        held = load(tmp_path / name)
        assert held.H.dims == ds.H.dims and np.array_equal(complex_of(held.H), z)
        assert np.array_equal(bf.read_channels(tmp_path / "new.nc", axes="channels,users,antennas,ri"), z)
    assert np.array_equal(bf.read_channels(str(tmp_path / "new.nc")), z)
