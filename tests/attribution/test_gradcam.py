"""Grad-CAM against PyTorch's hooks, against CAM where that is the same, and against loops in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from loce_jax import InputError
from loce_jax.attribution import ablate, directional_derivatives, gradcam, perturb
from loce_jax.solver import Status

RNG = np.random.default_rng(0)
ACTIVATIONS = RNG.normal(size=(3, 4, 6, 5)).astype("f4")
CLASS_WEIGHTS = RNG.normal(size=5).astype("f4")


def test_behind_a_mean_and_a_linear_classifier_it_is_cam():
    found = gradcam(lambda a: a.mean((0, 1)) @ CLASS_WEIGHTS, ACTIVATIONS)
    assert found.closed_form
    expected = np.zeros((3, 4, 6))
    for n in range(3):
        for y in range(4):
            for x in range(6):
                for c in range(5):
                    expected[n, y, x] += float(CLASS_WEIGHTS[c]) / 24 * float(ACTIVATIONS[n, y, x, c])
    np.testing.assert_allclose(found.maps, np.maximum(expected, 0), atol=1e-6)  # float32 sums of 5 products below 1


def test_the_closed_form_is_what_gradients_give():
    def hidden(activations):  # the same numbers by a way that takes the activations
        return activations.mean((0, 1)) @ CLASS_WEIGHTS + 0 * (activations**2).sum()

    closed, gradient = gradcam(lambda a: a.mean((0, 1)) @ CLASS_WEIGHTS, ACTIVATIONS), gradcam(hidden, ACTIVATIONS)
    assert closed.closed_form and not gradient.closed_form
    np.testing.assert_allclose(gradient.maps, closed.maps, atol=1e-7)


def test_against_finite_differences():
    weights = RNG.normal(size=(4, 6, 5))
    with jax.enable_x64(True):
        found = gradcam(lambda a: jnp.tanh((a * weights).sum((0, 1)) / 5).sum(), ACTIVATIONS.astype(float))

    def slowly(image):
        return sum(np.tanh((image[..., c] * weights[..., c]).sum() / 5) for c in range(5))

    for n, image in enumerate(ACTIVATIONS.astype(float)):
        mean_gradient = np.zeros(5)
        for index in np.ndindex(image.shape):
            high, low = image.copy(), image.copy()
            high[index] += 1e-6
            low[index] -= 1e-6
            mean_gradient[index[2]] += (slowly(high) - slowly(low)) / 2e-6 / 24
        np.testing.assert_allclose(found.weights[n], mean_gradient, atol=1e-8)
        np.testing.assert_allclose(found.maps[n], np.maximum(image @ mean_gradient, 0), atol=1e-7)


def test_images_that_are_not_finite_have_a_status():
    activations = ACTIVATIONS.copy()
    activations[1, 0, 0, 0] = np.nan
    for score in (lambda a: a.mean((0, 1)) @ CLASS_WEIGHTS, lambda a: jnp.tanh(a).sum()):
        found = gradcam(score, activations)
        assert found.status.tolist() == [Status.OK, Status.NONFINITE, Status.OK]
        assert np.isnan(found.maps[1]).all() and np.isfinite(found.maps[found.ok]).all()


def test_pooled_activations_have_no_map():
    with pytest.raises(InputError, match=r"must have shape \[n gh gw c\], since Grad-CAM is a map"):
        gradcam(lambda a: a.sum(), np.ones((3, 5)))


@pytest.mark.torch
def test_a_convolutional_network_agrees_with_hooks(torch):
    torch.manual_seed(0)
    first = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3, padding=1), torch.nn.ReLU())
    conv, linear = torch.nn.Conv2d(5, 7, 3, padding=1), torch.nn.Linear(7, 4)
    head = torch.nn.Sequential(
        conv, torch.nn.GELU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Tanh(), linear
    )
    network, images, caught = (
        torch.nn.Sequential(first, head).double(),
        torch.rand(3, 3, 6, 8).double().requires_grad_(),
        {},
    )
    first.register_forward_hook(lambda module, inputs, output: caught.update(activations=output))
    first.register_full_backward_hook(lambda module, inputs, outputs: caught.update(gradients=outputs[0]))
    network(images)[:, 2].sum().backward()
    maps, gradients = caught["activations"].detach(), caught["gradients"]
    activations = maps.permute(0, 2, 3, 1).numpy()
    kernel, weights = (m.weight.detach().numpy() for m in (conv, linear))
    biases = [m.bias.detach().numpy() for m in (conv, linear)]

    def score(one):
        layout = ("NHWC", "OIHW", "NHWC")
        found = jax.lax.conv_general_dilated(one[None], jnp.asarray(kernel), (1, 1), "SAME", dimension_numbers=layout)
        pooled = jax.nn.gelu(found[0] + biases[0], approximate=False).mean((0, 1))
        return (weights @ jnp.tanh(pooled) + biases[1])[2]

    def changed(by_hook):
        handle = first.register_forward_hook(by_hook)
        with torch.no_grad():
            found = network(images)[:, 2].numpy()
        handle.remove()
        return found

    vector = RNG.normal(size=5)
    unit = torch.from_numpy(vector / np.linalg.norm(vector))[:, None, None]
    with jax.enable_x64(True):
        cam = gradcam(score, activations)
        derivatives = directional_derivatives(score, activations, vector[None])
        ablated = ablate(score, activations, vector[None])
        moved = perturb(score, activations, vector[None], 0.5)
    mean_gradients = gradients.mean((2, 3), keepdim=True)
    close = {"rtol": 0, "atol": 1e-12}  # float64 on both sides, values up to 1
    np.testing.assert_allclose(cam.maps, torch.relu((mean_gradients * maps).sum(1)).numpy(), **close)
    along = (gradients * torch.from_numpy(vector)[:, None, None]).sum(1).numpy()
    np.testing.assert_allclose(derivatives.cells[:, 0], along, **close)
    expected = changed(lambda module, inputs, output: output - (output * unit).sum(1, keepdim=True) * unit)
    np.testing.assert_allclose(ablated.after[:, 0], expected, **close)
    expected = changed(lambda module, inputs, output: output + 0.5 * unit)
    np.testing.assert_allclose(moved.after[:, 0], expected, **close)
