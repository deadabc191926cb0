from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.frame import PictureType
from recordings import cut_in_half, film, numbered, numbers, write_video

from mtut_bench.errors import ClipError
from mtut_preprocess.reading import decode as decode_module
from mtut_preprocess.reading.decode import (
    VideoFrames,
    count_packets,
    decode_frames,
    read_timing,
    same_rate,
)

CODECS = ("mjpeg", "libx264")
COUNT = 120


@pytest.fixture(scope="module", params=CODECS)
def video(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / f"{request.param}.avi"
    return write_video(path, numbered(COUNT), request.param)


@pytest.fixture(params=CODECS)
def cut(request, tmp_path):
    path = write_video(tmp_path / "cut.avi", numbered(COUNT), request.param)
    cut_in_half(path)
    return path


def read(path, indices, plane="luma"):
    return VideoFrames(path, tuple(indices), plane).read()


def smooth_picture(height, width):
    """A ramp over all of 0..255, bent so that no row equals another."""
    y, x = np.mgrid[:height, :width]
    return np.clip(x * 256 / width + 6 * np.sin(y / 5), 0, 255).astype(np.uint8)


def write_raw(path, pix_fmt, plane_values, codec="rawvideo"):
    """Write one frame of one plane, whose bytes are given."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = 16, 8, pix_fmt
        frame = av.VideoFrame(16, 8, pix_fmt)
        plane = frame.planes[0]
        rows = np.zeros((8, plane.line_size), np.uint8)
        rows[:, : plane_values.shape[1]] = plane_values
        plane.update(rows.tobytes())
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


# Exact frames


def test_h264_file_of_these_tests_has_b_frames(tmp_path):
    path = write_video(tmp_path / "b.avi", numbered(COUNT), "libx264")
    with av.open(str(path)) as container:
        kinds = [frame.pict_type for frame in container.decode(video=0)]
    assert kinds.count(PictureType.B.value) > COUNT // 3


@pytest.mark.parametrize("plane", ["luma", "rgb"])
@pytest.mark.parametrize("window", [(0, 5), (37, 61), (49, 52), (119, 120), (0, 120)])
def test_the_frames_asked_for_are_returned(video, window, plane):
    assert numbers(read(video, range(*window), plane)) == list(range(*window))


def test_repeated_and_skipped_indices_are_kept(video):
    assert numbers(read(video, [3, 3, 4, 50, 50, 99])) == [3, 3, 4, 50, 50, 99]


def test_shapes_and_types(video):
    assert read(video, range(4)).shape == (4, 24, 32, 1)
    assert read(video, range(4), "rgb").shape == (4, 24, 32, 3)
    assert read(video, range(4), "rgb").dtype == np.uint8


def test_counts_and_size(video):
    assert sum(1 for _ in decode_frames(video)) == count_packets(video) == COUNT
    assert VideoFrames(video, range(1), "rgb").size() == (24, 32)


@pytest.mark.parametrize("codec", CODECS)
def test_luma_is_what_was_encoded_over_the_full_range(tmp_path, codec):
    luma = np.stack([np.roll(smooth_picture(96, 128), 4 * i, axis=0) for i in range(12)])
    frames = read(write_video(tmp_path / "a.avi", luma, codec), range(12))[..., 0]
    error = np.abs(frames.astype(int) - luma)
    # Quantiser 1 and crf 2; a limited-range conversion would be off by 16 at both ends.
    assert error.mean() < 1
    assert np.quantile(error, 0.999) <= 5
    assert frames.min() <= 2
    assert frames.max() >= 253


@pytest.mark.parametrize("codec", CODECS)
def test_luma_is_the_decoders_plane_bit_for_bit(tmp_path, codec):
    path = write_video(tmp_path / "a.avi", numbered(20), codec)
    with av.open(str(path)) as container:
        planes = [frame.to_ndarray()[:24] for frame in container.decode(video=0)]
    np.testing.assert_array_equal(read(path, range(20))[..., 0], planes)


def test_odd_sizes_and_padded_rows(tmp_path):
    luma = np.stack([smooth_picture(115, 250)] * 2)
    frames = read(write_video(tmp_path / "a.avi", luma), range(2))[..., 0]
    assert frames.shape == (2, 115, 250)
    assert np.abs(frames.astype(int) - luma).max() <= 5


def test_luma_of_a_packed_format_is_unpacked_exactly(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (8, 32), np.uint8)
    path = write_raw(tmp_path / "a.avi", "yuyv422", values)
    np.testing.assert_array_equal(read(path, [0])[0, ..., 0], values[:, ::2])


def test_depth_in_an_rgb_codec_is_one_channel(tmp_path):
    values = np.repeat(np.random.default_rng(0).integers(0, 256, (8, 16), np.uint8), 3, axis=1)
    path = write_raw(tmp_path / "a.avi", "bgr24", values)
    np.testing.assert_array_equal(read(path, [0])[0, ..., 0], values[:, ::3])


def test_values_of_sixteen_bits_are_refused(tmp_path):
    values = np.zeros((8, 32), np.uint8)
    path = write_raw(tmp_path / "a.mkv", "gray16le", values, codec="ffv1")
    with pytest.raises(ClipError, match=r"a\.mkv"):
        read(path, [0])


# Windows that pass the end


@pytest.mark.parametrize("over", [1, 2])
def test_window_that_passes_the_end_a_little_repeats_the_last_frame(video, over):
    found = numbers(read(video, range(COUNT - 4, COUNT + over)))
    assert found == [116, 117, 118, 119] + [119] * over


def test_window_that_passes_the_end_by_three_is_refused(video):
    with pytest.raises(ClipError) as caught:
        read(video, range(COUNT - 4, COUNT + 3))
    assert caught.value.what == f"{video} has 120 frames; its window ends at frame 123"


# Bad files


READERS = (
    lambda path: list(decode_frames(path)),
    count_packets,
    lambda path: VideoFrames(path, range(1), "rgb").size(),
    lambda path: read(path, [0]),
)
each_reader = pytest.mark.parametrize("reader", READERS, ids=["frames", "packets", "size", "read"])


@each_reader
def test_missing_file(tmp_path, reader):
    with pytest.raises(ClipError, match=r"gone\.avi"):
        reader(tmp_path / "gone.avi")


@each_reader
@pytest.mark.parametrize("content", [b"", b"hello, I am no video\n" * 9], ids=["empty", "text"])
def test_file_that_is_no_video(tmp_path, reader, content):
    (tmp_path / "bad.avi").write_bytes(content)
    with pytest.raises(ClipError, match=r"bad\.avi"):
        reader(tmp_path / "bad.avi")


@each_reader
def test_file_without_a_video_stream(tmp_path, reader):
    with av.open(str(tmp_path / "sound.avi"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(ClipError, match=r"sound\.avi"):
        reader(tmp_path / "sound.avi")


@each_reader
def test_file_cut_at_half(cut, reader):
    with pytest.raises(ClipError, match=r"cut\.avi is cut short: [\d,]+ of [\d,]+ bytes"):
        reader(cut)


def test_a_folder_in_place_of_a_file(tmp_path):
    (tmp_path / "folder.avi").mkdir()
    with pytest.raises(ClipError, match=r"folder\.avi"):
        count_packets(tmp_path / "folder.avi")


def test_damaged_bytes_inside_are_found(tmp_path):
    path = write_video(tmp_path / "a.avi", numbered(COUNT), "libx264")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
    path.write_bytes(data)
    with pytest.raises(ClipError, match=r"a\.avi"):
        read(path, range(COUNT))


def test_frames_that_change_their_size_are_refused(tmp_path, monkeypatch):
    sizes = [av.VideoFrame(32, 24, "gray"), av.VideoFrame(16, 24, "gray")]
    monkeypatch.setattr("mtut_preprocess.reading.decode.decode_frames", lambda _: iter(sizes))
    with pytest.raises(ClipError, match=r"a\.avi"):
        read(tmp_path / "a.avi", [0, 1])


def test_clips_of_one_file_decode_it_once(video, monkeypatch):
    """The second clip goes on where the first ended; the frames are those of a fresh start."""
    opened = []
    decode = decode_module.decode_frames
    monkeypatch.setattr(
        decode_module, "decode_frames", lambda path: (opened.append(path), decode(path))[1]
    )
    windows = [range(3, 20), range(40, 44), range(46, 60), range(50, 55), range(116, COUNT + 1)]
    found = [numbers(read(video, window)) for window in windows]
    assert found == [[min(i, COUNT - 1) for i in window] for window in windows]
    # One start, and one for the window that goes back.
    assert len(opened) == 2


def test_a_file_that_changed_is_decoded_anew(tmp_path):
    path = write_video(tmp_path / "a.avi", numbered(40))
    read(path, range(10))
    write_video(path, numbered(40, first=100))
    assert numbers(read(path, range(20, 23))) == [120, 121, 122]


def test_an_avi_without_its_header_is_refused_though_its_frames_could_be_found(tmp_path):
    path = write_video(tmp_path / "a.avi", numbered(20), "libx264")
    data = bytearray(path.read_bytes())
    data[:400] = bytes(400)
    path.write_bytes(data)
    with pytest.raises(ClipError, match=r"a\.avi"):
        read(path, [0])


# Rate


@pytest.mark.parametrize("rate", [15, 25, Fraction(30000, 1001), 60])
@pytest.mark.parametrize("name", ["a.avi", "a.mp4", "a.mkv", "a.mov"])
@pytest.mark.parametrize("count", [3, 40])
def test_a_stated_rate_that_the_times_bear_out_counts(tmp_path, name, rate, count):
    codec = "mjpeg" if name == "a.avi" else "libx264"
    timing = read_timing(write_video(tmp_path / name, numbered(count), codec, rate))
    # Matroska rounds the times of a few frames to thousandths of a second.
    assert timing.rate == pytest.approx(float(rate), rel=0.03 if count == 3 else 1e-4)
    assert timing.has_times == (name != "a.avi")
    assert not timing.is_uneven


def milliseconds(count, fps, pause_ms=0, after=10):
    return [round(1000 * n / fps) + pause_ms * (n > after) for n in range(count)]


@pytest.mark.parametrize("count", [12, 60])
@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
@pytest.mark.parametrize("stated", [30, 1000])
def test_the_times_count_where_the_header_says_otherwise(tmp_path, name, count, stated):
    times = milliseconds(count, 15)
    path = film(tmp_path / name, numbered(count), rate=stated, times=times, codec="libx264")
    with av.open(str(path)) as container:
        header = float(container.streams.video[0].average_rate)
    timing = read_timing(path)
    # Both ends are rounded by at most half a millisecond.
    assert timing.rate == pytest.approx(15, rel=1.1 / times[-1])
    if name == "a.mkv":
        assert header == stated
    elif count == 12:
        # The last frame lasts a thousandth of a second: 12 frames in 11 of the steps.
        assert header > 15.5
    assert not timing.is_uneven


def test_a_pause_makes_a_recording_uneven(tmp_path):
    times = milliseconds(60, 30, pause_ms=2000, after=30)
    timing = read_timing(film(tmp_path / "a.mkv", numbered(60), times=times, codec="libx264"))
    step = times[-1] / 59
    assert timing.rate == pytest.approx(1000 / step)
    assert timing.drift_s == pytest.approx((30 * step - times[30]) / 1000)
    assert timing.is_uneven


def test_a_clock_that_jitters_and_a_frame_that_is_dropped_are_even(tmp_path):
    rng = np.random.default_rng(0)
    jitter = rng.integers(-10, 11, 60)
    times = [max(0, t + int(j)) for t, j in zip(milliseconds(60, 30, 33), jitter, strict=True)]
    timing = read_timing(film(tmp_path / "a.mp4", numbered(60), times=times, codec="libx264"))
    assert timing.drift_s > 0.01
    assert not timing.is_uneven


def test_a_clock_that_begins_again_says_nothing_of_the_rate(tmp_path):
    part = write_video(tmp_path / "part.ts", numbered(90), "libx264", 25).read_bytes()
    (tmp_path / "two.ts").write_bytes(part + part)
    timing = read_timing(tmp_path / "two.ts")
    assert timing.rate == pytest.approx(25)
    assert (timing.drift_s, timing.has_times) == (0, True)


def test_one_frame_has_the_rate_of_its_header(tmp_path):
    path = film(tmp_path / "a.mkv", numbered(1), rate=12, codec="libx264")
    assert read_timing(path).rate == pytest.approx(12)


@pytest.mark.parametrize(
    ("rate", "other", "same"),
    [(29.97, 30, True), (24, 25, True), (25, 24, True), (28, 30, False), (15, 30, False)],
)
def test_rates_that_are_taken_for_one(rate, other, same):
    assert same_rate(rate, other) is same
