import numpy as np
import pytest
import sofar
from scipy.spatial.transform import Rotation

from naf_core import UserError
from naf_core.impulses import Impulses, write_sofa

RATE = 48000


def impulses(count=3, channels=4):
    rng = np.random.default_rng(0)
    return Impulses(
        [rng.standard_normal((1000 + 100 * k, channels)).astype(np.float32) for k in range(count)],
        rng.standard_normal((count, 3)),
        rng.standard_normal((count, 3)),
        Rotation.random(count, random_state=1).as_matrix(),
        list(range(5, 5 + count)),
        RATE,
        "ambix",
        "Küche: Speaker",
    )


@pytest.mark.filterwarnings("ignore")  # of the package that reads it
@pytest.mark.parametrize(("count", "channels"), [(1, 1), (3, 4), (2, 12)])
def test_the_file_is_valid_sofa_and_holds_what_was_written(tmp_path, count, channels):
    told = impulses(count, channels)
    write_sofa(tmp_path / "room.sofa", told)
    assert [path.name for path in tmp_path.iterdir()] == ["room.sofa"]
    sofa = sofar.read_sofa(str(tmp_path / "room.sofa"), verify=True, verbose=False)
    assert sofa.GLOBAL_SOFAConventions == "SingleRoomSRIR" and sofa.GLOBAL_Title == "Küche: Speaker"
    assert "5" in sofa.GLOBAL_Comment and "ambix" in sofa.GLOBAL_Comment
    responses = np.asarray(sofa.Data_IR).reshape(count, channels, -1)
    for row, response in zip(responses, told.samples, strict=True):
        np.testing.assert_allclose(row[:, : len(response)], response.T, atol=1e-7)
        assert not row[:, len(response) :].any()
    assert float(np.squeeze(sofa.Data_SamplingRate)) == RATE
    np.testing.assert_allclose(np.reshape(sofa.SourcePosition, (-1, 3)), told.emitters)
    np.testing.assert_allclose(np.reshape(sofa.ListenerPosition, (-1, 3)), told.listeners)
    np.testing.assert_allclose(np.reshape(sofa.ListenerView, (-1, 3)), told.rotations[:, :, 0])
    np.testing.assert_allclose(np.reshape(sofa.ListenerUp, (-1, 3)), told.rotations[:, :, 2])


def test_what_cannot_be_written_is_said(tmp_path):
    with pytest.raises(UserError, match="choose another output folder"):
        write_sofa(tmp_path / "no" / "room.sofa", impulses())
    assert not list(tmp_path.iterdir())
