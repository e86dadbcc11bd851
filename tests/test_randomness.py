"""Seeds from keys."""

from __future__ import annotations

import pytest
import torch

from pyg_remul.randomness import derive_generator, derive_seed

PINNED = {
    (0,): 6711488920161924273,
    (0, "rotation", 1): 1407196265029383671,
    (2**40, "order", -3): 9046134120955649051,
}

KEYS = [(), (0,), (1,), ("0",), ("1",), (0, 1), (1, 0), (10,), ("01",), ("0", "1"), ("rotation", 0)]


@pytest.mark.parametrize(("key", "value"), PINNED.items(), ids=str)
def test_values_stay_the_same_for_good(key, value):
    assert derive_seed(*key) == value


def test_different_keys_give_different_seeds():
    assert len({derive_seed(0, *key) for key in KEYS}) == len(KEYS)


def test_the_seed_is_part_of_the_key():
    assert derive_seed(0, "order") != derive_seed(1, "order")


def test_seeds_have_63_bits():
    seeds = [derive_seed(0, number) for number in range(200)]
    assert 0 <= min(seeds) < 2**57
    assert 2**62 < max(seeds) < 2**63


def test_bits_are_fair():
    seeds = torch.tensor([derive_seed(0, number) for number in range(2000)])
    shares = torch.stack([(seeds >> bit & 1).double().mean() for bit in range(63)])
    assert (shares - 0.5).abs().max() < 5 * 0.5 / 2000**0.5


def test_equal_keys_give_equal_draws():
    first, again = (torch.rand(3, generator=derive_generator(0, "order", 7)) for _ in range(2))
    assert torch.equal(first, again)


def test_draws_of_neighbouring_steps_are_uncorrelated():
    draws = torch.stack(
        [torch.rand(1000, generator=derive_generator(0, "order", n)) for n in range(2)]
    )
    assert abs(float(torch.corrcoef(draws)[0, 1])) < 5 / 1000**0.5


def test_the_generator_is_on_the_device_asked_for():
    assert derive_generator(0, device="cpu").device == torch.device("cpu")
