"""Network, features and weights files."""

import numpy as np
import pytest
import torch

from lagrangian_ice.errors import SettingsError
from lagrangian_ice.grid import Grid
from lagrangian_ice.images.geoimage import GeoImage
from lagrangian_ice.settings import FeatureSettings
from lagrangian_ice.superlim.extract import extract_features, network_input, valid_cells
from lagrangian_ice.superlim.folded import fold, keypoint_scores
from lagrangian_ice.superlim.network import PUBLISHED, SuperLIM, Topology

SMALL = Topology(channels=(4, 8, 8, 8), detector_width=8, descriptor_width=16)
SEPARABLE = SMALL.model_copy(update={"separable": True})
TOLD = SMALL.model_copy(update={"rotation_input": True})


def make_image(shape=(400, 360), seed=0, bands=("HH",), data=None):
    rng = np.random.default_rng(seed)
    if data is None:
        data = rng.normal(-14, 3, (len(bands), *shape)).astype(np.float32)
    return GeoImage(
        pass_id="p",
        scene_ids=("s",),
        grid=Grid(0.0, 0.0, 100.0, data.shape[1:]),
        polarisations=bands,
        units="db",
        data=data,
        land=np.zeros(data.shape[1:], bool),
        node_time=np.zeros((14, 14)),
    )


def make_network(topology):
    torch.manual_seed(1)
    made = SuperLIM(topology)
    if made.modulation is not None:
        torch.nn.init.normal_(made.modulation.weight)
    # Statistics other than the initial ones, so that training mode would show.
    made.train()
    with torch.no_grad():
        made(torch.randn(2, 1, 64, 64))
    return made.eval()


@pytest.fixture
def network():
    return make_network(SMALL)


def test_one_score_and_one_unit_descriptor_a_cell(network):
    features = extract_features(make_image((83, 70)), network, FeatureSettings(tile=128))
    assert features.scores.shape == (10, 8)
    assert features.descriptors.shape == (10, 8, 256)
    length = np.linalg.norm(features.descriptors.astype(np.float32), axis=-1)
    np.testing.assert_allclose(length[features.valid], 1, atol=2e-3)
    assert (features.scores >= 0).all()
    assert (features.scores <= 1).all()


@pytest.mark.parametrize("tile", [128, 136, 200])
def test_features_do_not_depend_on_the_tiling(network, tile):
    image = make_image()
    whole = extract_features(image, network, FeatureSettings(tile=8192))
    tiled = extract_features(image, network, FeatureSettings(tile=tile))
    np.testing.assert_allclose(tiled.scores, whole.scores, atol=1e-7)
    np.testing.assert_allclose(tiled.descriptors, whole.descriptors, atol=3e-4)


def test_features_do_not_depend_on_the_number_of_threads(network):
    image = make_image()
    before = torch.get_num_threads()
    found = []
    for count in (1, 3):
        torch.set_num_threads(count)
        found.append(extract_features(image, network, FeatureSettings(tile=128)))
    torch.set_num_threads(before)
    np.testing.assert_array_equal(found[0].scores, found[1].scores)
    np.testing.assert_array_equal(found[0].descriptors, found[1].descriptors)


@pytest.mark.parametrize(
    ("topology", "rotation"), [(SMALL, 0.0), (SEPARABLE, 0.0), (TOLD, 100.0), (TOLD, 0.0)]
)
def test_features_are_those_of_the_network_without_tiles(topology, rotation):
    network = make_network(topology)
    image = make_image((240, 200))
    features = extract_features(image, network, FeatureSettings(tile=128), rotation)
    whole = torch.from_numpy(network_input(image, network.topology))[None]
    with torch.inference_mode():
        logits, descriptors = network(whole, torch.tensor([rotation]) if rotation else None)
    inner = slice(5, -5)  # the halo
    scores = keypoint_scores(logits)[0, inner, inner].numpy()
    np.testing.assert_allclose(features.scores, scores, atol=1e-5)
    described = descriptors[0, :, inner, inner].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(features.descriptors, described, atol=1e-3)


def test_bfloat16_gives_nearly_the_same_descriptors(network):
    image = make_image((160, 160))
    exact = extract_features(image, network, FeatureSettings())
    rough = extract_features(image, network, FeatureSettings(precision="bfloat16"))
    likeness = (exact.descriptors.astype(np.float32) * rough.descriptors).sum(axis=-1)
    assert 0.99 < likeness[exact.valid].min() < 1
    assert not np.array_equal(exact.descriptors, rough.descriptors)


def test_features_of_ice_do_not_depend_on_how_much_missing_is_around(network):
    data = np.full((1, 320, 320), np.nan, np.float32)
    data[:, 64:256, 64:256] = np.random.default_rng(0).normal(-14, 3, (192, 192))
    wide = extract_features(make_image(data=data), network, FeatureSettings())
    tight = extract_features(make_image(data=data[:, 64:256, 64:256]), network, FeatureSettings())
    both = wide.valid[8:32, 8:32]
    assert both.sum() > 300
    np.testing.assert_allclose(
        wide.descriptors[8:32, 8:32][both], tight.descriptors[both], atol=0.05
    )


def test_network_left_in_training_mode_is_refused(network):
    with pytest.raises(ValueError, match="eval"):
        extract_features(make_image(), network.train(), FeatureSettings())


def test_folding_holds_for_negative_scales(network):
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight[::2] *= -1
    folded = fold(network, torch.device("cpu"))
    image = torch.randn(1, 1, 128, 128)
    with torch.inference_mode():
        logits, descriptors = network(image)
        nodes = folded.fine(image[:, :, 2:-2, 2:-2])
        scores, described = folded.scores_and_descriptors(nodes)
    inner = slice(5, -5)
    torch.testing.assert_close(scores, keypoint_scores(logits)[0, inner, inner])
    torch.testing.assert_close(described, descriptors[0, :, inner, inner].permute(1, 2, 0))


def test_folding_leaves_the_network_as_it_is(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fold(network, torch.device("cpu"))
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_missing_gpu_is_one_clear_line(network):
    with pytest.raises(SettingsError, match="use device cpu"):
        extract_features(make_image(), network, FeatureSettings(device="cuda"))


def test_descriptors_do_not_depend_on_far_pixels(network):
    inputs = torch.randn(1, 1, 256, 256)
    changed = inputs.clone()
    changed[..., 128:] += 5
    with torch.inference_mode():
        before, after = network(inputs)[1], network(changed)[1]
    assert torch.equal(before[..., :10], after[..., :10])
    assert not torch.allclose(before[..., 16:], after[..., 16:])


def test_cells_without_data_have_no_descriptor(network):
    data = np.random.default_rng(0).normal(-14, 3, (1, 160, 160)).astype(np.float32)
    data[:, :, 80:] = np.nan
    features = extract_features(make_image(data=data), network, FeatureSettings())
    assert features.valid[:, :9].all()
    assert not features.valid[:, 10:].any()
    assert not features.descriptors[~features.valid].any()


def test_all_nodata_image_gives_no_features(network):
    data = np.full((1, 64, 64), np.nan, np.float32)
    features = extract_features(make_image(data=data), network, FeatureSettings())
    assert not features.valid.any()


def test_valid_cells_need_valid_neighbours():
    pixels = np.zeros((64, 64), bool)
    pixels[24:40, 24:40] = True
    assert not valid_cells(pixels).any()


def test_one_channel_network_sees_hh_and_two_channel_network_both():
    image = make_image(bands=("HV", "HH"))
    one = network_input(image, Topology(inputs=1))
    two = network_input(image, Topology(inputs=2))
    np.testing.assert_array_equal(one[0], two[0])
    assert not np.array_equal(two[0], two[1])


def test_two_channel_network_sees_a_single_band_twice():
    given = network_input(make_image(), PUBLISHED)
    np.testing.assert_array_equal(given[0], given[1])


def test_rotation_changes_descriptors_only_and_nought_degrees_nothing():
    network = make_network(TOLD)
    images = torch.randn(1, 1, 64, 64).expand(3, -1, -1, -1)
    with torch.inference_mode():
        logits, descriptors = network(images, torch.tensor([0.0, 90.0, 450.0]))
        untold = network(images[:1])
    assert torch.equal(logits[1], logits[0])
    torch.testing.assert_close(descriptors[:1], untold[1])
    torch.testing.assert_close(descriptors[2], descriptors[1], atol=1e-4, rtol=0)
    assert (descriptors[1] - descriptors[0]).abs().max() > 0.05


def test_network_without_rotation_input_is_not_told_one(network):
    with pytest.raises(ValueError, match="no rotation input"):
        network(torch.zeros(1, 1, 64, 64), torch.zeros(1))
    with pytest.raises(ValueError, match="no rotation input"):
        extract_features(make_image((80, 80)), network, FeatureSettings(), 30.0)


def test_separable_network_is_many_times_lighter():
    plain, light = (
        sum(p.numel() for p in SuperLIM(Topology(separable=kind)).parameters())
        for kind in (False, True)
    )
    assert light < plain / 4


def test_wrong_input_shape_is_refused(network):
    with pytest.raises(ValueError, match="8 h, 8 w"):
        network(torch.zeros(1, 1, 60, 64))
