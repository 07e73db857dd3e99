import h5py
import numpy as np
import pytest

from naf_core import UserError
from naf_core.hrir import read_sofa
from naf_core.spatial import bundled_hrtf, sphere_grid

RATE = 44100
DIRECTIONS = sphere_grid(240)


def ears(directions=DIRECTIONS, late=0.002):
    """Responses (n, 2, 256) of the bundled head, with their delays in the samples."""
    filters, delay = bundled_hrtf().filters(directions, RATE)
    frequency = np.fft.rfftfreq(512, 1.0 / RATE)
    shift = np.exp(-2j * np.pi * frequency * (delay[..., None] + late))
    return np.fft.irfft(np.fft.rfft(filters.astype(float), 512) * shift, 512)[..., :384]


def write(path, change=lambda file: None, directions=DIRECTIONS, responses=None, cartesian=True):
    with h5py.File(path, "w") as file:
        file.attrs["Conventions"] = np.bytes_("SOFA")
        file.attrs["SOFAConventions"] = np.bytes_("SimpleFreeFieldHRIR")
        file["Data.IR"] = ears(directions) if responses is None else responses
        file["Data.SamplingRate"] = np.array([float(RATE)])
        file["Data.Delay"] = np.zeros((1, 2))
        place = 1.4 * directions
        if not cartesian:
            azimuth, elevation = np.arctan2(directions[:, 1], directions[:, 0]), np.arcsin(directions[:, 2])
            place = np.stack([np.degrees(azimuth) % 360.0, np.degrees(elevation), np.full(len(azimuth), 1.4)], axis=1)
        file["SourcePosition"] = place
        file["SourcePosition"].attrs["Type"] = np.bytes_("cartesian" if cartesian else "spherical")
        change(file)
    read_sofa.cache_clear()
    return path


@pytest.mark.parametrize("cartesian", [True, False])
def test_the_head_that_was_written_is_read_again(tmp_path, cartesian):
    found, known = read_sofa(write(tmp_path / "ears.sofa", cartesian=cartesian)), bundled_hrtf()
    some = DIRECTIONS[::7]
    delay = [hrtf.delays(some) for hrtf in (found, known)]
    differences = [each[:, 1] - each[:, 0] for each in delay]
    np.testing.assert_allclose(differences[0], differences[1], atol=20e-6)
    for low, high, tolerance in ((500.0, 4000.0, 0.5), (4000.0, 12000.0, 1.0)):
        part = (known.frequency > low) & (known.frequency < high)
        levels = []
        for hrtf in (found, known):
            magnitude, _ = hrtf.at(some)
            levels.append(
                np.stack(
                    [[np.interp(known.frequency[part], hrtf.frequency, ear) for ear in pair] for pair in magnitude]
                )
            )
        assert np.abs(levels[0] - levels[1]).mean() < tolerance


def test_a_head_that_is_not_symmetrical_stays_so(tmp_path):
    responses = ears()
    responses[:, 0] *= 0.5
    found = read_sofa(write(tmp_path / "ears.sofa", responses=responses))
    magnitude, _ = found.at(np.array([[1.0, 0.0, 0.0]]))
    part = (found.frequency > 500.0) & (found.frequency < 8000.0)
    np.testing.assert_allclose((magnitude[0, 0] - magnitude[0, 1])[part], -6.02, atol=0.3)


def test_a_gap_below_is_closed(tmp_path):
    upper = DIRECTIONS[DIRECTIONS[:, 2] > -0.6]
    found = read_sofa(write(tmp_path / "ears.sofa", directions=upper))
    filters, _ = found.filters(np.array([[0.1, 0.0, -1.0]]) / np.linalg.norm([0.1, 1.0]), 48000)
    assert np.isfinite(filters).all() and found.directions[:, 2].min() == -1.0


def test_written_delays_count(tmp_path):
    def late(file):
        del file["Data.Delay"]
        file["Data.Delay"] = np.tile([0.0, 10.0], (len(DIRECTIONS), 1))

    plain, delayed = (
        read_sofa(write(tmp_path / "ears.sofa", change)).delays(DIRECTIONS[:5]) for change in (lambda f: None, late)
    )
    np.testing.assert_allclose(np.diff(delayed - plain, axis=1), 10.0 / RATE, atol=1e-6)


def replace(name, values):
    def change(file):
        del file[name]
        if values is not None:
            file[name] = values

    return change


def claims(file):
    del file["Data.IR"]
    file.create_dataset("Data.IR", (20_000, 2, 60_000), "f8", chunks=(1, 2, 60_000), compression="gzip")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda file: file.attrs.__setitem__("SOFAConventions", np.bytes_("SingleRoomSRIR")),
            "not a SOFA file of ears",
        ),
        (lambda file: file.attrs.__delitem__("SOFAConventions"), "not a SOFA file of ears"),
        (replace("Data.IR", None), "cannot be read"),
        (replace("Data.IR", np.zeros((240, 3, 100))), "cannot be read"),
        (replace("Data.IR", np.full((240, 2, 100), np.nan)), "no responses of ears"),
        (replace("Data.IR", np.zeros((240, 2, 100))), "silent"),
        (replace("Data.IR", np.ones((240, 2, 4))), "cannot be read"),
        (claims, "cannot be read"),
        (replace("Data.SamplingRate", np.array([1.0])), "no responses of ears"),
        (replace("Data.SamplingRate", np.array([np.nan])), "no responses of ears"),
        (replace("SourcePosition", np.zeros((239, 3))), "cannot be read"),
        (replace("Data.Delay", np.zeros((7, 2))), "cannot be read"),
        (replace("Data.Delay", np.full((1, 2), np.inf)), "no responses of ears"),
    ],
)
def test_damaged_and_hostile_files_are_refused(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        read_sofa(write(tmp_path / "ears.sofa", change))


def test_directions_on_one_side_are_refused(tmp_path):
    with pytest.raises(UserError, match="surround"):
        read_sofa(write(tmp_path / "ears.sofa", directions=DIRECTIONS[DIRECTIONS[:, 0] > 0.9]))


def test_missing_and_foreign_files_are_refused(tmp_path):
    read_sofa.cache_clear()
    with pytest.raises(UserError, match="is missing"):
        read_sofa(tmp_path / "no.sofa")
    (tmp_path / "text.sofa").write_text("no")
    with pytest.raises(UserError, match="cannot be read"):
        read_sofa(tmp_path / "text.sofa")
