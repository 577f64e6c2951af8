// Written by tests/make_panels.py: knobs as Python describes them.

const PANELS = {
  fm6: { knobs: [
    {"name": "algorithm", "low": 1, "high": 32, "default": 5, "unit": "", "curve": "choice", "size": 1, "about": "who modulates whom", "choices": []},
    {"name": "feedback", "low": 0, "high": 1, "default": 0.0, "unit": "", "curve": "linear", "size": 1, "about": "how far one moves itself, in cycles", "choices": []},
    {"name": "ratio", "low": 0.0625, "high": 32, "default": 1.0, "unit": "", "curve": "log", "size": 6, "about": "frequency in multiples of f0_hz", "choices": []},
    {"name": "detune_cents", "low": -50, "high": 50, "default": 0.0, "unit": "cents", "curve": "linear", "size": 6, "about": "fine tuning", "choices": []},
    {"name": "fixed", "low": 0, "high": 1, "default": 0, "unit": "", "curve": "choice", "size": 6, "about": "1: the operator stays at fixed_hz", "choices": ["ratio", "fixed"]},
    {"name": "fixed_hz", "low": 0.1, "high": 10000, "default": 440.0, "unit": "Hz", "curve": "log", "size": 6, "about": "frequency if fixed is 1", "choices": []},
    {"name": "level", "low": 0, "high": 1, "default": [1.0, 0.0, 0.0, 0.0, 0.0, 0.0], "unit": "", "curve": "linear", "size": 6, "about": "carrier: loudness; modulator: how many cycles it moves the phase", "choices": []},
    {"name": "attack_s", "low": 0.001, "high": 10.0, "default": 0.01, "unit": "s", "curve": "log", "size": 6, "about": "from silence to full level", "choices": []},
    {"name": "decay_s", "low": 0.001, "high": 10.0, "default": 0.3, "unit": "s", "curve": "log", "size": 6, "about": "from full level to sustain", "choices": []},
    {"name": "sustain", "low": 0.0, "high": 1.0, "default": 0.5, "unit": "", "curve": "linear", "size": 6, "about": "the level held by the key", "choices": []},
    {"name": "release_s", "low": 0.001, "high": 10.0, "default": 0.2, "unit": "s", "curve": "log", "size": 6, "about": "from letting go to silence", "choices": []},
    {"name": "curve", "low": -10.0, "high": 10.0, "default": 3.0, "unit": "", "curve": "linear", "size": 1, "about": "above 0 fast first, below 0 slow first", "choices": []},
    {"name": "f0_hz", "low": 10, "high": 10000, "default": 220.0, "unit": "Hz", "curve": "log", "size": 1, "about": "pitch of the note", "choices": []},
    {"name": "note_s", "low": 0.001, "high": 60.0, "default": 1.0, "unit": "s", "curve": "log", "size": 1, "about": "how long the key is held", "choices": []},
    {"name": "velocity", "low": 0, "high": 1, "default": 1.0, "unit": "", "curve": "linear", "size": 1, "about": "how loud the note is", "choices": []},
  ] },
};
