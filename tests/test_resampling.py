"""The resize operators against the libraries whose conventions they follow."""

import numpy as np
import pytest
from skimage.transform import resize

from loce_jax.resampling import antialias_matrix, bilinear_matrix, resize_bilinear, resize_mask, two_taps

LENGTHS = [(7, 100), (14, 100), (25, 100), (34, 100), (56, 100), (100, 100), (160, 100), (5, 3), (1, 4), (3, 1)]


@pytest.mark.parametrize(("n_in", "n_out"), LENGTHS)
def test_bilinear_interpolates_between_pixel_centers(n_in, n_out):
    image = np.random.default_rng(0).normal(size=n_in)
    positions = (np.arange(n_out) + 0.5) / n_out * n_in
    expected = np.interp(positions, np.arange(n_in) + 0.5, image)
    np.testing.assert_allclose(bilinear_matrix(n_in, n_out) @ image, expected, rtol=0, atol=1e-12)  # float64 rounding


@pytest.mark.parametrize(("n_in", "n_out"), LENGTHS)
def test_bilinear_agrees_with_torch(torch, n_in, n_out):
    image = np.random.default_rng(0).normal(size=(n_in, 6))
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(image)[None, None], size=(n_out, 6), mode="bilinear", align_corners=False
    )[0, 0].numpy()
    np.testing.assert_allclose(bilinear_matrix(n_in, n_out) @ image, expected, atol=1e-6)
    np.testing.assert_allclose(resize_bilinear(image, (n_out, 6)), expected, atol=1e-6)


@pytest.mark.parametrize(("n_in", "n_out"), LENGTHS)
def test_bilinear_rows_are_two_taps_that_sum_to_one(n_in, n_out):
    matrix = bilinear_matrix(n_in, n_out)
    assert (np.count_nonzero(matrix, axis=1) <= 2).all() and (matrix >= 0).all()
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    np.testing.assert_allclose(matrix, matrix[::-1, ::-1], atol=1e-12)


@pytest.mark.parametrize("size", [(480, 640), (333, 500), (120, 160), (100, 100), (90, 230), (30, 41)])
def test_resize_mask_agrees_with_scikit_image(size):
    y, x = np.mgrid[: size[0], : size[1]]
    mask = (np.hypot(y - size[0] / 3, x - size[1] / 2) < min(size) / 4) | (y == 2)
    np.testing.assert_allclose(
        resize_mask(mask, (100, 100)), np.asarray(resize(mask.astype(float), (100, 100))), atol=1e-6
    )


@pytest.mark.parametrize("size", [(480, 640), (90, 230), (100, 60), (7, 5)])
def test_projection_resize_agrees_with_scikit_image(size):
    projection = np.random.default_rng(0).integers(0, 255, (100, 100), dtype=np.uint8)
    rows, columns = antialias_matrix(100, size[0]), antialias_matrix(100, size[1])
    expected = np.asarray(resize(projection, size))
    np.testing.assert_allclose(rows @ (projection / 255) @ columns.T, expected, atol=1e-12)


def test_matrices_are_kept_and_cannot_be_spoilt():
    assert bilinear_matrix(3, 5) is bilinear_matrix(3, 5)
    with pytest.raises(ValueError, match="read-only"):
        antialias_matrix(3, 5)[0, 0] = 7


@pytest.mark.parametrize("operator", [bilinear_matrix, antialias_matrix])
@pytest.mark.parametrize(("n_in", "n_out"), [(1, 4), (2, 4), (7, 100), (100, 100), (100, 137), (34, 35)])
def test_two_taps_are_the_whole_matrix(operator, n_in, n_out):
    taps = two_taps(operator(n_in, n_out), np.float64)
    image = np.random.default_rng(0).random(n_in + 1)
    resized = taps.near * image[taps.first] + taps.far * image[taps.first + 1]
    np.testing.assert_allclose(resized, operator(n_in, n_out) @ image[:n_in], rtol=1e-12)
