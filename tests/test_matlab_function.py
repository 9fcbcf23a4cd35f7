"""examples/matlab/beamfold_design.m, run by Octave where it is installed: MATLAB's language, its files."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest
import scipy.io
from conftest import ROOT

import beamfold as bf

OCTAVE = shutil.which("octave")
SCRIPT = """
addpath('{folder}');
generator = load('H.mat');
H = generator.H;
[F, W, info] = beamfold_design(H, 'command', '{command}', 'snr_db', 6, 'targets_deg', [-50 20], ...
                               'method', 'phased-zf', 'chains', 3);
rate = zeros(1, size(H, 3));
for b = 1:size(H, 3)
  y = abs(H(:, :, b) * F(:, :, b) * W(:, :, b)) .^ 2;
  signal = diag(y);
  rate(b) = sum(log2(1 + signal ./ (1 + sum(y, 2) - signal)));
end
understood = info.understood;
stated = info.rate;
[G, X] = beamfold_design(H(:, :, 1), 'command', '{command}', 'method', 'zf-digital');
try
  beamfold_design(H, 'command', '{command}', 'rows', 'sideways');
  failed = '';
catch problem
  failed = problem.message;
end
save('-v7', 'out.mat', 'F', 'W', 'G', 'X', 'rate', 'stated', 'understood', 'failed');
"""


@pytest.mark.skipif(OCTAVE is None, reason="Octave is not installed")
def test_the_matlab_function_designs_and_its_arrays_multiply_there(tmp_path):
    H = bf.saleh_valenzuela(8, 2, 3, seed=2).numpy()
    scipy.io.savemat(str(tmp_path / "H.mat"), {"H": H.transpose(1, 2, 0)})
    command = f"{sys.executable} -m beamfold"
    (tmp_path / "run.m").write_text(SCRIPT.format(folder=ROOT / "examples" / "matlab", command=command))
    done = subprocess.run(
        [str(OCTAVE), "--no-gui", "--quiet", "run.m"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    held = scipy.io.loadmat(str(tmp_path / "out.mat"))
    assert held["F"].shape == (8, 3, 3) and held["W"].shape == (3, 2, 3)
    assert np.allclose(held["rate"], held["stated"], rtol=1e-10)
    assert str(held["understood"][0]).startswith(
        "H of channels.mat: 3 channels × 2 users × 8 antennas, complex"
    )
    assert held["G"].size == 0 and held["X"].shape[:2] == (8, 2)
    assert "h^H or h^T" in str(held["failed"][0])
    s = bf.make_scenario(H, bf.solve_covariance(8, [-50, 20]), snr_db=6, chains=3)
    assert np.allclose(bf.phased_zf(s).F, held["F"].transpose(2, 0, 1), atol=1e-12)
