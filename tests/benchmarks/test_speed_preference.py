"How long a listener waits for the next question: a thousand sounds, after 20 choices."
import pytest
import torch
from ddsp_book.preference import Taste

PLACES = torch.randn(1000, 12, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def taste():
    taste = Taste(PLACES)
    for n in range(20): taste.choose(*taste.propose(), n % 2)
    return taste


@pytest.mark.parametrize("part", ["choose", "propose", "best"])
@pytest.mark.benchmark(group="one question among 1000 sounds")
def test_question(benchmark, taste, part):
    def choose(): Taste._says(taste, 3, 700, 1.0)
    benchmark.pedantic({"choose": choose, "propose": taste.propose, "best": taste.best}[part], rounds=20, warmup_rounds=2)
