"""Make ddsp_book/data/results/preference.csv: simulated listeners with a hidden taste, 50 of each kind.

    python tests/make_preference.py                       what the chapter shows; about one minute on one core
    python tests/make_preference.py other.csv "1 in 10"   other kinds of listeners, into another file

A listener has a sound in mind, anywhere on the three macros, and judges by the whole log-mel spectrogram; two are compared by
Bradley–Terry; a kind is named by how often it is wrong between two sounds by chance. Found: what is recommended is, to the hidden taste, among the best 1 % of 2000 random
sounds. Asked are pairs that the model proposes, pairs by chance (same model), or the last winner against a new sound (no model).
One kind of listener hears something else than the model thinks: distances on the knobs, each knob with an importance of its own.
"""
import csv, sys, warnings

import torch
from ddsp_book.audio import DATA
from ddsp_book.fm import AliasingWarning
from ddsp_book.fm6 import FM6Op
from ddsp_book.morphing import timbre
from ddsp_book.preference import Macros, Taste, by_ear, piano_macros, spread_out

RATE, SOUNDS, RUNS, CHOICES = 16000, 1000, 50, 40
KINDS = {"1 in 20": ("ear", 8.0), "1 in 10": ("ear", 4.0), "never": ("ear", 1e9), "by the knobs": ("knobs", 4.0), "1 in 5": ("ear", 1.6)}
ASKED = "proposed", "by chance", "last winner"


def space():
    "Macros → audio, 0.8 s; in rows of 50."
    synth = FM6Op(RATE)
    macros = piano_macros(synth.panel)
    def render(points): return torch.cat([synth(macros(rows.float()), 12800) for rows in points.split(50)])
    return render


class Listeners:
    "`RUNS` hidden tastes, utilities in units of their spread over all sounds."
    def __init__(self, render, hears, seed):
        random = torch.Generator().manual_seed(seed)
        self.render, self.hears = render, hears
        self.goal = torch.rand(RUNS, 3, generator=random).double()
        self.weight = 0.5 + 1.5 * torch.rand(RUNS, 3, generator=random).double()
        self.scale = None
        if hears == "ear": self.goal_heard = timbre(render(self.goal), RATE).double()
        pool = torch.rand(2000, 3, generator=random).double()
        all = self(pool.expand(RUNS, -1, -1), pool)
        self.scale = all.mean(1, keepdim=True), all.std(1, keepdim=True)
        self.all = (all - self.scale[0]) / self.scale[1]

    def __call__(self, points, once=None):
        "Utilities; (runs, sounds)."
        if self.hears == "knobs": far = ((points - self.goal[:, None]) * self.weight[:, None]).norm(dim=-1)
        else:
            heard = timbre(self.render(points.flatten(0, 1) if once is None else once), RATE).double()
            heard = heard.expand(RUNS, -1, -1) if once is not None else heard.view(*points.shape[:2], -1)
            far = torch.stack([torch.cdist(h, g[None])[:, 0] for h, g in zip(heard, self.goal_heard)])
        return -far if self.scale is None else (-far - self.scale[0]) / self.scale[1]

    def better(self, point): return (self.all > self(point[:, None])).double().mean(1)  # share of sounds liked more

    def begin(self, sure, seed):
        "The same tastes, as sure as that; their choices are drawn from `seed`."
        self.sure, self.random = sure, torch.Generator().manual_seed(seed)

    def wrong(self):
        "Share of choices against their own taste, between two sounds by chance."
        i, j = torch.randint(2000, (2, RUNS, 1000), generator=self.random)
        return float(torch.sigmoid(-self.sure * (self.all.gather(1, i) - self.all.gather(1, j)).abs()).mean())

    def choose(self, pairs):
        u = self(pairs)
        return (torch.rand(RUNS, generator=self.random) < torch.sigmoid(self.sure * (u[:, 0] - u[:, 1]))).double()


@torch.no_grad()
def ask(listeners, points, places, how, seed):
    "Yields, after each choice, the recommended points, and the models."
    random = torch.Generator().manual_seed(seed)
    tastes = [Taste(places) for _ in range(RUNS)]
    king = torch.randint(SOUNDS, (RUNS,), generator=random)
    for _ in range(CHOICES):
        if how == "proposed": pairs = torch.tensor([taste.propose() for taste in tastes])
        else: pairs = torch.randint(SOUNDS, (RUNS, 2), generator=random)
        if how == "last winner": pairs[:, 0] = king
        chosen = listeners.choose(points[pairs])
        king = torch.where(chosen > 0.5, pairs[:, 0], pairs[:, 1])
        for taste, (i, j), c in zip(tastes, pairs.tolist(), chosen.tolist()): taste.choose(i, j, c)
        yield points[king if how == "last winner" else [taste.best() for taste in tastes]], tastes


def main(path=DATA / "results" / "preference.csv", *kinds):
    render = space()
    points = spread_out(0, SOUNDS, 3)
    places = by_ear(render(points), RATE)
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["listener", "wrong", "asked", "run", "choices", "better", "coin"])
        for kind in kinds or ("1 in 20",):
            hears, sure = KINDS[kind]
            listeners = Listeners(render, hears, seed=6)
            for how in ASKED:
                listeners.begin(sure, seed=7)
                wrong = f"{listeners.wrong():.3f}"
                for n, (found, tastes) in enumerate(ask(listeners, points, places, how, seed=8), 1):
                    if n % 5: continue
                    better = listeners.better(found)
                    for run in range(RUNS): table.writerow([kind, wrong, how, run, n, f"{better[run]:.4f}", f"{tastes[run].coin():.4f}"])
                print(kind, how, f"wrong {wrong}, found {(better <= 0.01).double().mean():.2f}, coin {sum(t.coin() for t in tastes) / RUNS:.3f}", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore", AliasingWarning)
    torch.set_num_threads(1)
    main(*sys.argv[1:])
