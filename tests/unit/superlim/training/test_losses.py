"""Losses of descriptors and detector."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from lagrangian_ice.superlim.training.losses import (
    all_cells,
    bilinear_targets,
    detector_loss,
    hinge_loss,
    infonce_loss,
    right_share,
    sampled,
    teacher_loss,
)

NAN = float("nan")


@pytest.fixture
def described():
    torch.manual_seed(0)
    return normalize(torch.randn(1, 256, 6, 6), dim=1)


@pytest.fixture
def own_cells():
    cells = torch.stack(torch.meshgrid(torch.arange(6.0), torch.arange(6.0), indexing="ij"), -1)
    return cells.reshape(1, -1, 2)


def test_soft_label_is_bilinear():
    index, weight = bilinear_targets(torch.tensor([[[1.25, 2.5]]]), 4, 5)
    assert index[0, 0].tolist() == [7, 8, 12, 13]
    assert weight[0, 0].tolist() == pytest.approx([0.375, 0.375, 0.125, 0.125])


def test_cells_that_left_the_view_have_no_label():
    cells = torch.tensor([[[NAN, 1.0], [-0.5, 1.0], [3.5, 1.0]]])
    assert not bilinear_targets(cells, 4, 5)[1].any()


def test_sampled_at_a_cell_is_its_descriptor(described):
    at = torch.tensor([[[2.0, 3.0], [0.0, 4.0], [NAN, NAN]]])
    found = sampled(described, at)
    torch.testing.assert_close(found[0, 0], described[0, :, 2, 3])
    torch.testing.assert_close(found[0, 1], described[0, :, 0, 4])
    assert not found[0, 2].any()


def test_sampled_between_cells_is_of_unit_length_and_like_both(described):
    found = sampled(described, torch.tensor([[[2.0, 3.5]]]))[0, 0]
    assert float(found.norm()) == pytest.approx(1, abs=1e-5)
    for col in (3, 4):
        assert float(found @ described[0, :, 2, col]) > 0.6


@pytest.mark.parametrize(
    ("loss", "small", "large"),
    [
        (lambda s, t, c: infonce_loss(s, t, c, 0.05), 0.01, 1.0),
        (hinge_loss, 25.0, 25.0),
        (lambda s, t, c: hinge_loss(s, t, c, hardest=4), 1.0, 1.0),
    ],
)
def test_descriptor_loss_is_lowest_at_the_truth(loss, small, large, described, own_cells):
    places = all_cells(described)
    right = float(loss(places, described, own_cells))
    wrong = float(loss(places, described, own_cells.flip(1)))
    assert right < small
    assert wrong > right
    assert wrong > large


def test_published_hinge_by_hand():
    """Two cells in a row of three; margins 1 and 0.2, weight 250."""
    target = torch.tensor([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]]).T.reshape(1, 2, 1, 3)
    source = torch.tensor([[[1.0, 0.0]]])
    loss = hinge_loss(source, target, torch.tensor([[[0.0, 0.0]]]))
    # Similarities 1, 0.6, -1; the first two cells match, the third is far below its margin.
    assert float(loss) == pytest.approx(250 * (0 + 0.4) / 3)


def test_hardest_wrong_cells_count_alone():
    target = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]).T.reshape(1, 2, 1, 4)
    source = torch.tensor([[[1.0, 0.0]]])
    truth = torch.tensor([[[0.0, 0.0]]])
    assert float(hinge_loss(source, target, truth, hardest=1)) == pytest.approx(0.4)
    assert float(hinge_loss(source, target, truth, hardest=2)) == pytest.approx(0.2)


@pytest.mark.parametrize("loss", [lambda *a: infonce_loss(*a, 0.05), hinge_loss])
def test_places_without_truth_do_not_count(loss, described, own_cells):
    places = all_cells(described).clone().requires_grad_(True)
    cells = own_cells.clone()
    cells[:, 5:] = NAN
    value = loss(places[:, :5], described, cells[:, :5])
    nothing = loss(places, described, torch.full_like(cells, NAN))
    assert torch.isfinite(value)
    assert float(nothing.detach()) == 0
    torch.autograd.backward(nothing)
    assert torch.isfinite(places.grad).all()


def test_right_share_counts_within_one_cell(described, own_cells):
    places = all_cells(described)
    assert right_share(places, described, own_cells) == 1
    assert right_share(places, described, own_cells + 0.6) == 1
    assert right_share(places, described, own_cells + 3) == 0
    assert np.isnan(right_share(places, described, torch.full_like(own_cells, NAN)))


def test_unknown_cells_are_left_out_of_the_detector_loss():
    logits = torch.zeros(1, 65, 1, 2)
    logits[0, 3, 0, 0] = 20
    labels = torch.tensor([[[3, -100]]])
    assert float(detector_loss(logits, labels)) < 1e-3


def test_teacher_loss_is_lowest_for_the_teacher():
    torch.manual_seed(0)
    wanted = torch.randn(1, 65, 3, 3)
    assert teacher_loss(wanted, wanted) < teacher_loss(torch.randn(1, 65, 3, 3), wanted)
