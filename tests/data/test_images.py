"""`read_photo` meets every kind of file: right pixels or a fault with the right word, never anything else."""

import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from loce_jax.data.images import MAX_PIXELS, ORIENTATION, read_photo
from loce_jax.data.samples import Fault

RNG = np.random.default_rng(0)
COLORS = RNG.integers(0, 256, (20, 12, 3), dtype=np.uint8)
NOISE = RNG.integers(0, 256, (200, 120, 3), dtype=np.uint8)


def fault_of(path, size=(20, 12)):
    with pytest.raises(Fault) as caught:
        read_photo(path, size)
    return caught.value


def write_header_only_png(path, width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(header)) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk)


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "ppm"])
def test_colors_come_back_unchanged(tmp_path, ending):
    Image.fromarray(COLORS).save(tmp_path / f"a.{ending}")
    photo = read_photo(tmp_path / f"a.{ending}", (20, 12))
    np.testing.assert_array_equal(photo, COLORS)
    photo[0] = 0  # the array is the caller's own


@pytest.mark.parametrize("ending", ["jpg", "webp", "gif"])
def test_lossy_formats_are_read(tmp_path, ending):
    Image.new("RGB", (12, 20), (200, 30, 60)).save(tmp_path / f"a.{ending}")
    assert abs(read_photo(tmp_path / f"a.{ending}", (20, 12)).astype(int) - (200, 30, 60)).max() < 12


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr"])
def test_other_modes_become_rgb(tmp_path, mode):
    image = Image.fromarray(COLORS).convert(mode)
    path = tmp_path / ("a.jpg" if mode in ("CMYK", "YCbCr") else "a.png")
    image.save(path)
    with Image.open(path) as stored:
        np.testing.assert_array_equal(read_photo(path, (20, 12)), np.asarray(stored.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparency_is_laid_over_white(tmp_path, mode):
    image = Image.fromarray(COLORS).convert("RGBA" if mode == "PA" else mode)
    image.putalpha(Image.fromarray(np.array([[0] * 6 + [255] * 6] * 20, np.uint8)))
    (image.quantize() if mode == "PA" else image).save(tmp_path / "a.png")
    photo = read_photo(tmp_path / "a.png", (20, 12))
    assert (photo[:, :6] == 255).all() and (photo[:, 6:] != 255).any()


def test_half_transparent_black_is_mid_gray(tmp_path):
    Image.new("RGBA", (12, 20), (0, 0, 0, 128)).save(tmp_path / "a.png")
    assert set(read_photo(tmp_path / "a.png", (20, 12)).ravel()) == {127}


def test_transparent_color_of_a_png_is_white(tmp_path):
    Image.new("RGB", (12, 20), (1, 2, 3)).save(tmp_path / "a.png", transparency=(1, 2, 3))
    assert read_photo(tmp_path / "a.png", (20, 12)).min() == 255


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bits_are_scaled(tmp_path, ending):
    gray = np.linspace(0, 65535, 240).astype(np.uint16).reshape(20, 12)
    Image.fromarray(gray).save(tmp_path / f"a.{ending}")
    photo = read_photo(tmp_path / f"a.{ending}", (20, 12))
    np.testing.assert_array_equal(photo[..., 1], np.round(gray / 257))
    assert photo.min() == 0 and photo.max() == 255 and 120 < photo.mean() < 135


@pytest.mark.parametrize(("dtype", "word"), [(np.float32, "floating-point"), (np.int32, "32-bit")])
def test_numbers_of_unknown_range_are_refused(tmp_path, dtype, word):
    Image.fromarray(np.ones((20, 12), dtype)).save(tmp_path / "a.tif")
    fault = fault_of(tmp_path / "a.tif")
    assert fault.status == "image_unreadable" and word in fault.reason and "8 bits" in fault.reason


def test_only_the_first_frame_counts(tmp_path):
    frames = [Image.new("RGB", (12, 20), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_photo(tmp_path / "a.gif", (20, 12))[0, 0], (255, 0, 0))


def save_turned(path, orientation, colors=NOISE):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(colors).save(path, exif=exif)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_orientation_is_followed_when_the_annotated_size_did(tmp_path, orientation):
    save_turned(tmp_path / "a.png", orientation)
    back = {5: np.transpose, 6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a.T, 2), 8: np.rot90}[orientation]
    expected = np.stack([back(channel) for channel in np.moveaxis(NOISE, -1, 0)], axis=-1)
    np.testing.assert_array_equal(read_photo(tmp_path / "a.png", (120, 200)), expected)
    np.testing.assert_array_equal(read_photo(tmp_path / "a.png", (200, 120)), NOISE)


@pytest.mark.parametrize(("orientation", "shape"), [(3, (20, 12)), (2, (20, 12)), (6, (15, 15))])
def test_orientation_that_leaves_the_size_is_ambiguous(tmp_path, orientation, shape):
    save_turned(tmp_path / "a.png", orientation, np.zeros((*shape, 3), np.uint8))
    fault = fault_of(tmp_path / "a.png", shape)
    assert fault.status == "size_mismatch" and f"orientation {orientation}" in fault.reason


@pytest.mark.parametrize("orientation", [0, 1, 9, 77])
def test_upright_and_meaningless_orientations_change_nothing(tmp_path, orientation):
    save_turned(tmp_path / "a.png", orientation)
    np.testing.assert_array_equal(read_photo(tmp_path / "a.png", (200, 120)), NOISE)


@pytest.mark.parametrize("orientation", [1, 6])
def test_wrong_size_names_both(tmp_path, orientation):
    save_turned(tmp_path / "a.png", orientation)
    fault = fault_of(tmp_path / "a.png", (100, 60))
    assert fault.status == "size_mismatch" and "200 x 120" in fault.reason and "100 x 60" in fault.reason
    assert ("120 x 200 turned" in fault.reason) == (orientation == 6)


def test_missing_file(tmp_path):
    assert fault_of(tmp_path / "no.jpg").status == "image_missing"
    (tmp_path / "file").write_text("x")
    assert fault_of(tmp_path / "file" / "no.jpg").status == "image_missing"


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif", "bmp", "gif"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_file(tmp_path, ending, share):
    whole = tmp_path / f"whole.{ending}"
    Image.fromarray(NOISE).save(whole)
    part = tmp_path / f"part.{ending}"
    part.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
    fault = fault_of(part, (200, 120))
    assert fault.status == "image_unreadable" and part.name in fault.reason


@pytest.mark.parametrize(
    "content", [b"", b"<html>not found</html>", bytes(range(256)), b"\xff\xd8\xff", b"%!PS-Adobe-3.0 EPSF-3.0\n"]
)
def test_files_that_are_no_image(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    assert fault_of(tmp_path / "a.jpg").status == "image_unreadable"


def test_a_folder_is_no_image(tmp_path):
    assert fault_of(tmp_path).status == "image_unreadable"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9_000, 12_000, 30_000, 2_000_000_000])
def test_too_many_pixels_are_refused_from_the_header(tmp_path, side):
    assert 9_000**2 > MAX_PIXELS
    write_header_only_png(tmp_path / "a.png", side, side)
    assert fault_of(tmp_path / "a.png", (side, side)).status == "image_unreadable"


def test_a_warning_made_an_error_is_still_a_fault(tmp_path):
    write_header_only_png(tmp_path / "a.png", 12_000, 12_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fault_of(tmp_path / "a.png", (12_000, 12_000)).status == "image_unreadable"


@pytest.mark.filterwarnings("ignore:::PIL")
def test_no_corruption_escapes_as_anything_but_a_fault(tmp_path):
    rng = np.random.default_rng(1)
    for ending in ("jpg", "png", "webp", "gif", "tif", "bmp", "ppm", "jp2"):
        Image.fromarray(NOISE[:40, :30]).save(tmp_path / f"a.{ending}")
        whole = np.frombuffer((tmp_path / f"a.{ending}").read_bytes(), np.uint8)
        for _ in range(25):
            broken = whole.copy()
            broken[rng.integers(0, min(len(whole), 400), 4)] = rng.integers(0, 256, 4)
            (tmp_path / "b").write_bytes(broken.tobytes())
            try:
                assert read_photo(tmp_path / "b", (40, 30)).shape == (40, 30, 3)
            except Fault as fault:
                assert fault.status in ("image_unreadable", "size_mismatch")


def test_threads_share_nothing(tmp_path):
    for i in range(8):
        Image.fromarray(np.roll(NOISE, i, axis=0)).save(tmp_path / f"{i}.png")
    with ThreadPoolExecutor(4) as pool:
        photos = list(pool.map(lambda i: read_photo(tmp_path / f"{i}.png", (200, 120)), range(8)))
    for i, photo in enumerate(photos):
        np.testing.assert_array_equal(photo, np.roll(NOISE, i, axis=0))


def test_avif_is_read_where_pillow_reads_it(tmp_path):
    from PIL import features

    from loce_jax.data.images import FORMATS

    assert ("AVIF" in FORMATS) == features.check("avif")
    if "AVIF" in FORMATS:
        pixels = np.full((20, 30, 3), (200, 40, 30), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "a.avif", quality=95)
        np.testing.assert_allclose(read_photo(tmp_path / "a.avif", (20, 30)), pixels, atol=4)


def test_a_photo_in_memory_is_read_like_a_file_and_its_size_is_known_from_its_header(tmp_path):
    from loce_jax.data.images import photo_size

    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20), "teal").save(tmp_path / "a.png", exif=exif)
    content = (tmp_path / "a.png").read_bytes()
    assert photo_size(tmp_path / "a.png") == photo_size(content) == (30, 20)
    np.testing.assert_array_equal(read_photo(content, (30, 20)), read_photo(tmp_path / "a.png", (30, 20)))
    with pytest.raises(Fault, match="image_unreadable: row 3: .*cannot identify"):
        read_photo(b"nothing", (30, 20), name="row 3")
