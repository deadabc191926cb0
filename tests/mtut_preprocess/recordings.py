"""Small generated recordings whose frames carry their number, in the datasets' layouts."""

from fractions import Fraction

import av
import numpy as np

H264_OPTIONS = {"crf": "2", "preset": "fast", "x264-params": "bframes=3:b-adapt=0:keyint=50"}
TRAIN_LIST = "nvgesture_train_correct_cvpr2016_v2.lst"
TEST_LIST = "nvgesture_test_correct_cvpr2016_v2.lst"


def numbered(count, first=0, height=24, width=32):
    """Luma (T, H, W): eight stripes that are black or white, the bits of the frame's number."""
    bits = (np.arange(first, first + count)[:, None] >> np.arange(8)) & 1
    stripes = np.repeat(bits * 255, width // 8, axis=1).astype(np.uint8)
    return np.repeat(stripes[:, None], height, axis=1)


def numbers(frames_THWC):
    """Frame numbers that the stripes of frames say."""
    stripes = frames_THWC[:, frames_THWC.shape[1] // 2, :, 0]
    bits = stripes.reshape(len(frames_THWC), 8, -1).mean(axis=2) > 128
    return (bits << np.arange(8)).sum(axis=1).tolist()


def write_video(path, luma_THW, codec="mjpeg"):
    """Write luma as it is, chroma 128; ``codec`` mjpeg, or libx264 with B-frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pix_fmt = "yuv420p" if codec == "libx264" else "yuvj420p"
    options = H264_OPTIONS if codec == "libx264" else {"qmin": "1", "qmax": "1"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30, options=options)
        stream.height, stream.width = luma_THW.shape[1:]
        stream.pix_fmt = pix_fmt
        for number, luma in enumerate(luma_THW):
            frame = av.VideoFrame(stream.width, stream.height, pix_fmt)
            for plane, values in zip(frame.planes, planes_of(luma), strict=True):
                rows = np.zeros((plane.height, plane.line_size), np.uint8)
                rows[:, : values.shape[1]] = values
                plane.update(rows.tobytes())
            frame.pts, frame.time_base = number, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def film(path, luma_THW, *, chroma=(128, 128), rate=30, times=None, codec="mjpeg"):
    """Write luma as it is and one colour all over; times count in thousandths of a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    options = {"qmin": "1", "qmax": "1"} if codec == "mjpeg" else {"crf": "2", "bf": "0"}
    height, width = luma_THW.shape[1:]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width, stream.pix_fmt = height, width, pix_fmt
        if times is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number, luma in enumerate(luma_THW):
            frame = av.VideoFrame(width, height, pix_fmt)
            planes = (luma, *(np.full((height // 2, width // 2), c, np.uint8) for c in chroma))
            for plane, values in zip(frame.planes, planes, strict=True):
                rows = np.zeros((plane.height, plane.line_size), np.uint8)
                rows[:, : values.shape[1]] = values
                plane.update(rows.tobytes())
            frame.pts = number if times is None else times[number]
            frame.time_base = Fraction(1, rate) if times is None else Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def planes_of(luma):
    grey = np.full(((luma.shape[0] + 1) // 2, (luma.shape[1] + 1) // 2), 128, np.uint8)
    return luma, grey, grey


def cut_in_half(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def log_text(times_ns):
    return "".join(f"img{i:05d}.png {time}\n" for i, time in enumerate(times_ns))


def list_line(folder, depth=(0, 8), color=(0, 8), label=1):
    return (
        f"path:./Video_data/{folder} depth:sk_depth:{depth[0]}:{depth[1]}"
        f" color:sk_color:{color[0]}:{color[1]} duo_left:duo_left:0:9 label:{label} \n"
    )


def write_lists(root, train, test=("class_02/subject5_r0",)):
    """Write both lists; an item is a whole line or a folder."""
    root.mkdir(parents=True, exist_ok=True)
    for name, items in ((TRAIN_LIST, train), (TEST_LIST, test)):
        lines = [item if item.startswith("path") else list_line(item) for item in items]
        (root / name).write_text("".join(lines))
    return root


def write_nvgesture_clip(root, folder, count=8, colour="sk_color", size=(24, 32), first=0):
    """Write colour and depth whose frames are numbered from ``first``."""
    luma = numbered(count, first, *size)
    write_video(root / "Video_data" / folder / f"{colour}.avi", luma)
    write_video(root / "Video_data" / folder / "sk_depth.avi", luma)


def write_viva_clip(root, name, count=6, depth_count=None):
    data = root / "LISA_HG_Data" / "dynamic_gestures" / "data"
    write_video(data / f"{name}.avi", numbered(count))
    return write_video(data / "depth" / f"{name}.avi", numbered(depth_count or count)).parent.parent
