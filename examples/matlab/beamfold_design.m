function [F, W, info] = beamfold_design(H, varargin)
%BEAMFOLD_DESIGN  Hybrid precoders F W for the channels H, by the command `beamfold design`.
%
%   [F, W, info] = beamfold_design(H)
%   [F, W, info] = beamfold_design(H, 'snr_db', 12, 'targets_deg', [-50 20], ...)
%
%   H      users x antennas x channels, complex; user k of channel b hears H(k,:,b) * x.
%   F      antennas x chains x channels, entries of modulus 1; [] for a fully digital method.
%   W      chains x users x channels, or antennas x users x channels of a fully digital method.
%          Send x = F(:,:,b) * W(:,:,b) * s for symbols s of unit power; the total power is the SNR
%          times the noise, which is 1.
%   info   rate, tau, objective (1 x channels), Psi, and what was understood of H.
%
%   Every further pair is an option of `beamfold design --help` without its dashes: 'method', 'weight',
%   'chains', 'array', ... Vectors are several numbers. 'command' is the program, default 'beamfold'.

  if isempty(H) || ~isnumeric(H) || ndims(H) > 3
    error('beamfold:input', 'H is users x antennas x channels, found %s', mat2str(size(H)));
  end
  folder = tempname();
  mkdir(folder);
  cleaning = onCleanup(@() remove(folder));
  source = fullfile(folder, 'channels.mat');
  target = fullfile(folder, 'designs.mat');
  save(source, 'H', '-v7');
  program = 'beamfold';
  options = '';
  for i = 1:2:numel(varargin)
    if strcmp(varargin{i}, 'command')
      program = varargin{i + 1};
    else
      options = [options ' ' option(varargin{i}, varargin{i + 1})]; %#ok<AGROW>
    end
  end
  axes = 'users,antennas,channels';
  if ndims(H) == 2
    axes = 'users,antennas';
  end
  [code, said] = system(sprintf('%s design "%s" --axes %s%s -o "%s" 2>&1', ...
                                program, source, axes, options, target));
  if code ~= 0
    error('beamfold:design', '%s', strtrim(said));
  end
  held = load(target);
  F = [];
  if isfield(held, 'F')
    F = permute(held.F, [2 3 1]);
  end
  W = permute(held.W, [2 3 1]);
  info = struct('rate', held.rate(:).', 'tau', held.tau(:).', 'objective', held.objective(:).', ...
                'Psi', held.Psi, 'understood', held.understood);
end

function text = option(name, value)
  name = strrep(name, '_', '-');
  if islogical(value)
    text = ['--' name];
    if ~value
      text = '';
    end
  elseif isnumeric(value)
    text = [sprintf('--%s', name) sprintf(' %.15g', value)];
  else
    text = sprintf('--%s "%s"', name, value);
  end
end

function remove(folder)
  delete(fullfile(folder, '*.mat'));
  rmdir(folder);
end
