"""`nas scenes`."""

from PIL import Image


def test_the_command_writes_a_new_folder_only(nas, tmp_path):
    folder = tmp_path / "scenes"
    code, _, err = nas("scenes", folder, "--train", "2", "--test", "1", "--px", "48")
    assert code == 0, err
    assert sorted(path.name for path in (folder / "JPEGImages").iterdir()) == [
        "test_0000.jpg",
        "train_0000.jpg",
        "train_0001.jpg",
    ]
    assert Image.open(folder / "JPEGImages" / "test_0000.jpg").size == (48, 48)
    code, _, err = nas("scenes", folder)
    assert code == 2
    assert f"{folder} is not empty" in err
