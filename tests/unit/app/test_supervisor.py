"""Which folders the supervisor takes as its own."""

import pytest

from littoral.app.settings import Settings
from littoral.app.supervisor import make_folder
from littoral.domain.errors import InvalidInput


def mode(path) -> int:
    return path.stat().st_mode & 0o777


def test_a_new_an_empty_and_an_own_folder_are_taken_and_closed_to_others(tmp_path):
    for name in ("new/er", "empty", "own"):
        folder = tmp_path / name
        if name != "new/er":
            folder.mkdir(mode=0o755)
        if name == "own":
            folder.joinpath("format").write_text("1")
            folder.joinpath("control.db").touch()
        assert make_folder(Settings(data_dir=str(folder))) == folder
        assert mode(folder) == 0o700
        assert make_folder(Settings(data_dir=str(folder))) == folder


def test_a_folder_of_somebody_else_is_refused_and_left_as_it_was(tmp_path):
    tmp_path.chmod(0o755)
    tmp_path.joinpath("diary.txt").touch()
    with pytest.raises(InvalidInput, match="not empty"):
        make_folder(Settings(data_dir=str(tmp_path)))
    assert mode(tmp_path) == 0o755
    assert [entry.name for entry in tmp_path.iterdir()] == ["diary.txt"]


@pytest.mark.parametrize("inside", ["", "/deeper"])
def test_a_file_in_the_place_of_the_folder_is_told(tmp_path, inside):
    tmp_path.joinpath("file").touch()
    with pytest.raises(InvalidInput, match="cannot be used as data folder"):
        make_folder(Settings(data_dir=f"{tmp_path}/file{inside}"))
