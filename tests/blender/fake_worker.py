"""Stands for the acoustics in tests of the add-on: reads a job folder, writes small files, says its lines.

Run as `fake_worker.py JOBFOLDER MODE`; MODE is "done", "crash", "error", "full", "chatty" or "endless".
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import soundfile


def say(**event):
    print(json.dumps(event), flush=True)


def write_png(path, width, height):
    """A grey picture of which the upper half is transparent."""
    import struct
    import zlib

    row = b"\0" + bytes((128, 128, 128, 255)) * width
    clear = b"\0" + bytes(4) * width
    data = zlib.compress(clear * (height // 2) + row * (height - height // 2))

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def main(folder, mode):
    job = json.loads((Path(folder) / "job.json").read_text(encoding="utf-8"))
    output = Path(job["output"])
    part = output / f".part-{os.getpid()}"
    part.mkdir()
    say(event="progress", stage="scan", fraction=0.2, message="Scanning the rooms")
    if mode == "error":
        say(event="error", message="“Talker” cannot be read: convert it.", object="Talker")
        return
    if mode == "full":
        (part / "mix.wav").write_bytes(b"begun")
        say(event="error", message=f"{output / 'mix.wav'} cannot be written (No space left on device).", object=None)
        return
    if mode == "crash":
        raise RuntimeError("the probe grid is empty")
    if mode == "chatty":
        for number in range(20_000):
            say(event="progress", stage="scan", fraction=0.2 + 0.5 * number / 20_000, message="Scanning the rooms")
    if mode == "endless":
        time.sleep(600)
    say(event="warning", message="The scene is open.", object=None)
    if job["kind"] == "refine":
        (output / ".stems").mkdir(exist_ok=True)
        (output / ".stems/scan-refined.h5").write_bytes(b"")
        part.rmdir()
        say(event="done", result={"words": "Refined. G dB 0.50 before, 0.20 after.", "states": 1, "refined": 1})
        return
    result = {"mix": None, "stems": [], "report": str(output / "report.json"), "map": None, "warnings": []}
    (output / "report.json").write_text("{}")
    if job["kind"] == "bake":
        channels = 4 if job["format"].startswith("ambix") else 2
        samples = np.zeros((int(job["n_frames"] / job["fps"] * job["sample_rate"]), channels))
        names = [(e["name"], output / f"{e['name'].replace('/', '_')}.wav") for e in job["emitters"]]
        result["stems"] = [{"emitter": name, "file": str(path)} for name, path in names]
        if job["mix"]:
            result["mix"] = str(output / "mix.wav")
            names.append(("mix", output / "mix.wav"))
        for _, path in names:
            soundfile.write(path, samples, job["sample_rate"])
    if job["map"]:
        write_png(output / "loudness_map.png", job["map"]["width"], job["map"]["height"])
        write_png(output / "loudness.png", 64, 64)
        paths = {"image": str(output / "loudness_map.png"), "legend": str(output / "loudness.png")}
        images, count = [paths["image"]], 1
        if job["map"]["step"] and not job["map"]["maximum"]:
            count = job["n_frames"]
            (output / "loudness_maps").mkdir(exist_ok=True)
            images = [str(output / f"loudness_maps/map_{number + 1:05d}.png") for number in range(count)]
            for image in images:
                write_png(Path(image), job["map"]["width"], job["map"]["height"])
        first = job["frame_start"]
        told = {"min": 40.0, "max": 70.0, "frames": [first, first + count - 1]}
        result["map"] = {**paths, **told, "image": images[0], "images": images}
    part.rmdir()
    say(event="done", result=result)


if __name__ == "__main__":
    main(*sys.argv[1:])
