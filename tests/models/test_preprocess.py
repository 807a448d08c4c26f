"""How photos become input: what checkpoints and people say of it, letterboxing, and the numbers that enter."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from loce_jax.checks import InputError
from loce_jax.framing import canvas_of, recorded_canvas
from loce_jax.models.loading import LoadOptions
from loce_jax.models.preprocess.description import BYTES, LARGEST_SIDE, Preprocess
from loce_jax.models.preprocess.hub_folder import read_preprocess
from loce_jax.models.preprocess.options import PRESETS, UnknownPreprocess, inlined, read_options
from loce_jax.resampling import resize_mask
from loce_jax.solver import mask_iou

HALF = [0.5, 0.5, 0.5]
CONFIG = {
    "do_resize": True,
    "do_center_crop": True,
    "do_rescale": True,
    "do_normalize": True,
    "size": {"shortest_edge": 256},
    "crop_size": {"height": 224, "width": 224},
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 3,
    "rescale_factor": 1 / 255,
}


@pytest.fixture
def folder(tmp_path):
    """``folder(do_rescale=False)``: a folder whose ``preprocessor_config.json`` differs so from `CONFIG`."""

    def write(**changes):
        content = {key: value for key, value in (CONFIG | changes).items() if value is not ...}
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(content))
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({}, (224, 224)),
        ({"do_center_crop": False}, (256, 256)),
        ({"do_center_crop": False, "size": {"height": 448, "width": 392}}, (448, 392)),
        ({"do_center_crop": ..., "size": {"height": 448, "width": 448}}, (224, 224)),
        ({"do_center_crop": False, "size": [518, 518]}, (518, 518)),
        ({"do_center_crop": False, "do_resize": False}, (56, 70)),  # config.json's
        ({"do_resize": False}, (224, 224)),
        ({"crop_size": ..., "size": 96}, (96, 96)),
        ({"crop_size": ..., "size": {"shortest_edge": 800, "longest_edge": 1333}}, (800, 1066)),
    ],
    ids=str,
)
def test_the_size_follows_the_switches(folder, changes, size):
    assert read_preprocess(folder(**changes), model_size=(56, 70)).size == size


def numbers(preprocess, pixels):
    return np.asarray(preprocess.normalize(jnp.asarray(pixels)))


PIXELS = np.arange(0, 252, 21, dtype=np.uint8).reshape(1, 2, 2, 3)
MEAN, STD = np.array(CONFIG["image_mean"]), np.array(CONFIG["image_std"])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (PIXELS / 255 - MEAN) / STD),
        ({"do_normalize": False}, PIXELS / 255),
        ({"do_rescale": False}, (PIXELS - MEAN) / STD),
        ({"do_rescale": False, "do_normalize": False}, PIXELS),
        ({"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False}, PIXELS / 127.5 - 1),
        ({"rescale_factor": 1 / 127.5, "image_mean": HALF, "image_std": HALF}, (PIXELS / 127.5 - 0.5) / 0.5),
        ({"do_flip_channel_order": True}, ((PIXELS / 255 - MEAN) / STD)[..., ::-1]),
        ({"include_top": True}, (PIXELS / 255 - MEAN) / STD**2),
        ({"image_processor_type": "EfficientNetImageProcessor"}, (PIXELS / 255 - MEAN) / STD**2),
        ({"image_mean": 0.5, "image_std": 0.25}, (PIXELS / 255 - 0.5) / 0.25),
    ],
    ids=str,
)
def test_the_numbers_follow_the_switches(folder, changes, expected):
    np.testing.assert_allclose(numbers(read_preprocess(folder(**changes)), PIXELS), expected, rtol=2e-6, atol=2e-6)


@pytest.mark.torch
@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("BitImageProcessorPil", {"do_rescale": False, "do_center_crop": False}),
        ("BitImageProcessorPil", {"do_normalize": False, "do_center_crop": False, "resample": 2}),
        ("EfficientNetImageProcessorPil", {"do_center_crop": False}),
        ("EfficientNetImageProcessorPil", {"do_center_crop": False, "rescale_offset": True}),
        ("MobileViTImageProcessorPil", {"do_center_crop": False, "do_flip_channel_order": True, "do_normalize": False}),
    ],
    ids=str,
)
def test_the_numbers_are_those_of_transformers(torch, folder, kind, changes):
    transformers = pytest.importorskip("transformers")
    changes = {"size": {"height": 20, "width": 30}, "crop_size": ..., **changes}
    photo = np.random.default_rng(0).integers(0, 256, (41, 57, 3), np.uint8)
    path = folder(image_processor_type=kind.removesuffix("Pil"), **changes)
    ours = read_preprocess(path)
    settings = json.loads((path / "preprocessor_config.json").read_text())
    del settings["image_processor_type"]
    theirs = getattr(transformers, kind)(**settings)(photo, return_tensors="np")["pixel_values"][0]
    found = numbers(ours, ours.resize(photo)[None])[0].transpose(2, 0, 1)
    np.testing.assert_allclose(found, theirs, rtol=1e-5, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"crop_size": 10**9}, "from 1 to 8192"),
        ({"crop_size": {"height": "224", "width": 224}}, "from 1 to 8192"),
        ({"image_mean": [0.5, 0.5]}, "`image_mean` must be three numbers"),
        ({"image_mean": [0.5, 0.5, float("nan")]}, "`image_mean` must be three numbers"),
        ({"image_std": [0.5, 0, 0.5]}, "above 0"),
        ({"image_std": 10**400}, "`image_std` must be three numbers"),
        ({"resample": []}, "`resample` must be one of"),
        ({"rescale_factor": -1}, "`rescale_factor` must be"),
        ({"rescale_factor": "x"}, "`rescale_factor` must be"),
        ({"do_color_quantize": True}, "`do_color_quantize` must be false"),
        ({"do_center_crop": "false"}, "`do_center_crop` must be true or false, not 'false'"),
        ({"do_resize": 0}, "`do_resize` must be true or false, not 0"),
        ({"do_rescale": []}, "`do_rescale` must be true or false"),
        ({"do_normalize": "no"}, "`do_normalize` must be true or false"),
        ({"do_flip_channel_order": 1.0}, "`do_flip_channel_order` must be true or false"),
        ({"do_color_quantize": "false"}, "preprocessor_config.json'.* `do_color_quantize` must be true or false"),
        ({"rescale_offset": "false"}, "`rescale_offset` must be true or false"),
        ({"include_top": "true"}, "`include_top` must be true or false"),
    ],
    ids=str,
)
def test_what_cannot_be_followed_is_named(folder, changes, words):
    with pytest.raises(InputError, match=words):
        read_preprocess(folder(**changes))
    if "crop_size" not in changes:  # and is not looked at where nothing of it is needed
        assert read_preprocess(folder(**changes), read_options("imagenet")).mean == (0.485, 0.456, 0.406)


def test_a_missing_file_is_an_error_only_where_it_is_needed(tmp_path):
    with pytest.raises(UnknownPreprocess, match="without a `preprocessor_config.json`.*imagenet.*`unknown`"):
        read_preprocess(tmp_path, size=(4, 4), model_size=(8, 8))
    found = read_preprocess(tmp_path, read_options("imagenet"), model_size=(8, 8))
    assert (found.size, found.source) == ((8, 8), "imagenet")
    with pytest.raises(InputError, match="`size` must say"):
        read_preprocess(tmp_path, read_options("imagenet"))
    with pytest.raises(UnknownPreprocess):
        read_preprocess(tmp_path, read_options("mean=0.5"), size=(4, 4))


def test_a_mean_of_0_to_1_for_numbers_of_0_to_255_is_doubted(folder, caplog):
    read_preprocess(folder(do_rescale=False))
    assert "says do_rescale false and a mean of [0.485" in caplog.text
    caplog.clear()
    read_preprocess(folder(do_rescale=False, image_mean=[123.0, 116.0, 104.0], image_std=[1, 1, 1]))
    read_preprocess(folder(do_rescale=False, do_normalize=False))
    read_preprocess(folder())
    assert not caplog.text


def test_defaults_are_told(folder):
    assert read_preprocess(folder(resample=...)).source == "preprocessor_config.json, resample by default"
    assert "(preprocessor_config.json)" in read_preprocess(folder()).describe()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unit", {}),
        ("bytes", {"std": BYTES}),
        ("signed", {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}),
        ("range=-1..1,channels=rgb", {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}),
        ("range=0..255,channels=BGR,letterbox=114", {"std": BYTES, "channels": "bgr", "pad": 114}),
        ("yolox", {"std": BYTES, "channels": "bgr", "pad": 114, "resample": "bilinear"}),
        ("yolox,letterbox=none", {"std": BYTES, "channels": "bgr", "resample": "bilinear"}),
        ("range=0..1, channels=rgb, placement=center, letterbox=0", {"pad": 0, "placement": "center"}),
        ('{"range": [0, 1], "channels": "bgr", "mean": [0.1, 0.2, 0.3]}', {"channels": "bgr", "mean": (0.1, 0.2, 0.3)}),
        ('{"preset": "bytes", "resample": "nearest"}', {"std": BYTES, "resample": "nearest"}),
    ],
)
def test_what_people_write(text, expected):
    assert read_options(text).apply(None, size=(4, 6), what="it") == Preprocess((4, 6), **expected)


def test_a_range_of_255_has_its_mean_on_that_scale():
    found = read_options("range=0..255,channels=rgb,mean=123.675/116.28/103.53,std=58.395/57.12/57.375")
    imagenet = read_options("imagenet").given
    for name in ("mean", "std"):
        np.testing.assert_allclose(found.given[name], imagenet[name], rtol=1e-12)


def test_single_keys_change_what_the_checkpoint_says(folder):
    own = read_preprocess(folder())
    changed = read_preprocess(folder(), read_options("channels=bgr"))
    assert changed == Preprocess(own.size, own.mean, own.std, own.resample, channels="bgr")
    assert changed.source == "preprocessor_config.json, channels=bgr"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("imagnet", "Did you mean 'imagenet'"),
        ("imagenet,bgr", "'bgr' is none of these"),
        ("color=bgr", "unknown key 'color'"),
        ("x" * 5000 + "=1", "unknown key 'xxxx"),
        ("range=" + "9" * 5000, "must be two numbers"),
        ("channels=rbg", "must be one of rgb, bgr"),
        ("range=255", "must be two numbers"),
        ("range=1..0", "must be two numbers"),
        ("range=0..inf", "must be two numbers"),
        ("mean=a/b/c", "must hold numbers"),
        ("std=0", "above 0"),
        ("std=1/2", "one number or three"),
        ("letterbox=300", "from 0 to 255"),
        ("size=1000000000", f"at most {LARGEST_SIDE}"),
        ("size=2.5", "a height and a width"),
        ("resample=cubic", "must be one of"),
        ("{", "must be valid JSON"),
        ("{" * 100_000, "must be valid JSON"),
        ('{"preset": []}', "unknown preset"),
        ("[].json", "cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_an_input_error(text, words):
    with pytest.raises(InputError, match=words) as error:
        read_options(text)
    assert len(str(error.value)) < 900


def test_a_json_file_travels_by_its_content(tmp_path):
    (tmp_path / "p.json").write_text('{"preset": "yolox", "size": [416, 416]}')
    here = read_options(str(tmp_path / "p.json"))
    loading = LoadOptions(preprocess=str(tmp_path / "p.json")).portable()
    (tmp_path / "p.json").unlink()
    assert here.source == "p.json" and read_options(loading.preprocess).given == here.given
    assert inlined("imagenet") == "imagenet"
    for content in ("[]", '{"x": 1}', "nothing"):
        (tmp_path / "p.json").write_text(content)
        with pytest.raises(InputError):
            read_options(str(tmp_path / "p.json"))


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_complete(preset):
    found = read_options(preset)
    assert found.complete and found.apply(None, size=(4, 4), what="it").describe().endswith(f"({preset})")


@pytest.mark.parametrize("size", [(0, 4), (4, LARGEST_SIDE + 1), (-1, 4)])
def test_a_size_is_bounded(size):
    with pytest.raises(InputError, match="at least 1 pixel and at most 8192"):
        Preprocess(size)


@pytest.mark.parametrize("placement", ["corner", "center"])
@pytest.mark.parametrize("photo", [(48, 64), (64, 48), (50, 50), (33, 97), (1, 64)])
def test_pixels_and_masks_are_letterboxed_alike(photo, placement):
    """A bright square is where the mask on the canvas says, in the image that the network sees."""
    preprocess = Preprocess((32, 32), pad=114, placement=placement, resample="box")
    mask = np.zeros(photo, bool)
    mask[photo[0] // 4 : max(photo[0] // 2, 1), photo[1] // 4 : photo[1] // 2] = True
    seen = preprocess.resize(np.where(mask[..., None], 255, 0).astype(np.uint8).repeat(3, 2))[..., 0]
    canvas = preprocess.canvas(photo)
    assert canvas.pad(mask)[canvas.window].tolist() == mask.tolist()
    expected = resize_mask(canvas.pad(mask), (32, 32))
    inside = resize_mask(canvas.pad(np.ones(photo, bool)), (32, 32))
    clear = (np.abs(expected - 0.5) > 0.45) & (np.abs(inside - 0.5) > 0.45)
    assert clear.mean() > 0.5
    assert ((seen > 200) == (expected > 0.5))[clear & (inside > 0.5)].mean() > 0.98
    assert (seen[inside < 0.05] == 114).all()


@pytest.mark.slow
def test_the_iou_is_of_the_photo_alone():
    canvas = canvas_of((2, 4), (4, 4), "corner")
    mask = np.array([[True, True, False, False]] * 2)
    projection = np.array([[1.0, 1, 0, 0]] * 2 + [[1.0, 1, 1, 1]] * 2)  # it fires in all of the padding
    assert mask_iou(projection, mask, canvas=canvas) == 1
    assert mask_iou(projection, canvas.pad(mask)) == pytest.approx(4 / 12)
    plain = canvas_of((2, 4), (4, 4), None)
    assert mask_iou(projection[:2], mask, canvas=plain) == mask_iou(projection[:2], mask) == 1


def test_a_plan_records_the_canvas():
    record = {"size": [32, 32], "pad": 114, "placement": "center"}
    assert recorded_canvas((4, 8), {"model": {"preprocess": record}}) == canvas_of((4, 8), (32, 32), "center")
    for plan in ({}, {"model": {"preprocess": {"size": [3, 3]}}}, {"model": {"preprocess": record | {"pad": None}}}):
        assert recorded_canvas((4, 8), plan).size == (4, 8)
