import numpy as np
import pytest

from naf_core.errors import UserError
from naf_core.stemfile import BLOCK, StemFile, StemWriter


def write(path, samples):
    with StemWriter(path, *samples.shape[1:]) as writer:
        for part in np.array_split(samples, 3):
            writer.add(part)
    return path


def test_what_was_written_is_read_back_and_numpy_reads_it_too(tmp_path):
    samples = np.random.default_rng(0).standard_normal((BLOCK + 1000, 3, 2)).astype(np.float32)
    path = write(tmp_path / "stem.npy", samples)
    stem = StemFile(path)
    assert (stem.length, stem.parts, stem.channels) == samples.shape
    np.testing.assert_array_equal(np.concatenate(list(stem.blocks())), samples)
    np.testing.assert_array_equal(np.load(path), samples)


@pytest.mark.parametrize("length", [10, 1000, BLOCK, 2 * BLOCK + 5])
def test_silence_follows(tmp_path, length):
    samples = np.ones((900, 3, 2), np.float32)
    blocks = list(StemFile(write(tmp_path / "stem.npy", samples)).blocks(length))
    assert [len(block) for block in blocks[:-1]] == [BLOCK] * (len(blocks) - 1)
    whole = np.concatenate(blocks)
    assert len(whole) == length and whole[:900].all() and not whole[900:].any()


def test_files_that_are_cut_off_or_foreign_are_refused(tmp_path):
    path = write(tmp_path / "stem.npy", np.ones((900, 3, 2), np.float32))
    whole = path.read_bytes()
    for data in (whole[:-1], whole + b"x", whole[:60], b"", b"not numpy at all"):
        path.write_bytes(data)
        with pytest.raises((ValueError, EOFError)):
            StemFile(path)
    np.save(path, np.ones((3, 4)))
    with pytest.raises(ValueError, match="no stem"):
        StemFile(path)


def test_an_interrupted_stem_is_removed(tmp_path):
    with pytest.raises(KeyboardInterrupt), StemWriter(tmp_path / "stem.npy", 3, 2) as writer:
        writer.add(np.ones((10, 3, 2)))
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(UserError, match="make room on the disk"), StemWriter(tmp_path / "no" / "stem.npy", 3, 2):
        pass
