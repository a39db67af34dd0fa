"""Lists as CSV: what they say, and what is wrong with them, with the line's number."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgesam import EdgeSamError, Percentiles, Window
from edgesam.commands.rows import Row, read_rows

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(text: str, encoding: str = "utf-8") -> Path:
        (tmp_path / "masks").mkdir(exist_ok=True)
        path = tmp_path / "list.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return put


def rows(path: Path, window: Any = None, kind: str | None = None) -> list[Row]:
    return read_rows(path, window, kind, empty_frames=False)


def test_all_columns(write: Write, tmp_path: Path) -> None:
    path = write(
        "image,output,box,points,slice,frame,series,name,window\n"
        'ct,masks/a.nii.gz,"1,2.5,30,40","5,6,1; 7,8,0;9,10",12,,2,liver,"40,400"\n'
        'us.dcm,masks/b.png,,"5,6",,0,1.2.3,,\n'
    )
    first, second = rows(path, window=Percentiles())
    assert (first.line, second.line) == (2, 3)
    assert first.image == tmp_path / "ct"
    assert first.output.path == tmp_path / "masks" / "a.nii.gz"
    assert (first.slice, first.frame, first.series) == (12, None, 2)
    assert (second.slice, second.frame, second.series) == (None, 0, "1.2.3")
    assert (first.output.names, second.output.names) == (("liver",), ())
    assert (first.window, second.window) == (Window(40, 400), Percentiles())
    assert first.prompt.corners is not None
    assert first.prompt.corners.tolist() == [1, 2.5, 30, 40]
    np.testing.assert_array_equal(first.prompt.point_coords, [(5, 6), (7, 8), (9, 10)])
    np.testing.assert_array_equal(first.prompt.point_labels, [1, 0, 1])
    assert second.prompt.corners is None
    assert first.picture != second.picture


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_as_spreadsheets_write_it(write: Write, tmp_path: Path, encoding: str, end: str) -> None:
    lines = ["", " Image ,Box,OUTPUT", ",,", '"Ä b.png","1,2,3,4", masks/a.png ', "", ""]
    (row,) = rows(write(end.join(lines), encoding))
    assert row.line == 4
    assert row.image == tmp_path / "Ä b.png"
    assert row.output.path == tmp_path / "masks" / "a.png"


def test_a_cell_of_two_lines_counts_as_two(write: Write) -> None:
    path = write('image,output,box\n"a\nb.png",masks/a.png,"1,2,3,4"\nc,masks/c.png,"1,2"\n')
    with pytest.raises(EdgeSamError, match=r"list\.csv, line 4: '1,2' is not x0,y0,x1,y1"):
        rows(path)


def test_absolute_paths_stay(write: Write, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (row,) = rows(write(f'image,output,box\n{other / "a.png"},{other / "b.png"},"1,2,3,4"\n'))
    assert row.image == other / "a.png"
    assert row.output.path == other / "b.png"


BOX = '"1,2,3,4"'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no row"),
        ("image,output,box\n\n", "holds no row"),
        ("image;output;box\n", "semicolons"),
        ("image,box\n", "has no column output"),
        ("output,box\n", "has no column image"),
        ("image,output\n", "neither a column box nor points"),
        ("image,output,box,windw\n", "no column 'windw'; there are image, output, box"),
        ("image,output,box,box\n", "two columns box"),
        (f"image,output,box\na.png,masks/a.png,{BOX}\nb.png,1,2,3,4\n", "line 3: has 5 cells"),
        ("image,output,box\na.png,masks/a.png\n", "line 2: has 2 cells and the header 3"),
        ('image,output,box\na.png,masks/a.png,"1,2\n', "line 2: is no line of CSV: unexpected end"),
        (f"image,output,box\n,masks/a.png,{BOX}\n", "line 2: the column image holds no"),
        (f"image,output,box\na.png,,{BOX}\n", "line 2: the column output holds no"),
        ("image,output,box\na.png,masks/a.png,\n", "line 2: has neither a box nor points"),
        ('image,output,box\na.png,masks/a.png,"1,2,3"\n', "line 2: '1,2,3' is not x0,y0,x1,y1"),
        ('image,output,box\na.png,masks/a.png,"3,2,1,4"\n', "line 2: the box .* is inverted"),
        ('image,output,box\na.png,masks/a.png,"nan,2,1,4"\n', "line 2: the box must be finite"),
        ('image,output,points\na.png,masks/a.png,"1,2;"\n', "line 2: '' is not x,y or"),
        ('image,output,points\na.png,masks/a.png,"1,2,3"\n', "line 2: labels must be 1"),
        (f"image,output,box,slice\na,masks/a.png,{BOX},-1\n", "line 2: the slice '-1' is not"),
        (f"image,output,box,frame\na,masks/a.png,{BOX},1.0\n", "line 2: the frame '1.0' is not"),
        (f"image,output,box,frame\na,masks/a.png,{BOX},{'9' * 5000}\n", "line 2: the frame"),
        (f"image,output,box,slice,frame\na,masks/a.png,{BOX},1,1\n", "line 2: .* give one"),
        (f"image,output,box,name\na,masks/a.png,{BOX},{'x' * 65}\n", "line 2: a name has 1 to 64"),
        (f"image,output,box,window\na,masks/a.png,{BOX},bones\n", "line 2: no grey levels 'bones'"),
        (f"image,output,box\na.png,masks/a.jpg,{BOX}\n", "line 2: .* a mask is written as .png"),
        (f"image,output,box\na.png,masks,{BOX}\n", "line 2: .* a mask is written as"),
        (f"image,output,box\na.png,none/a.png,{BOX}\n", "line 2: .*none does not exist"),
        (f"image,output,box\na.png,folder.png,{BOX}\n", "line 2: .* is a folder"),
        (
            f"image,output,box\na,masks/a.png,{BOX}\nb,masks/../masks/a.png,{BOX}\n",
            "line 3: the output .* is the output of line 2, too",
        ),
        (
            f"image,output,box\na,masks/a.png,{BOX}\nb,masks/a.png.json,{BOX}\n",
            "line 3: the output .* is the output's sidecar of line 2, too",
        ),
        (
            f"image,output,box\na,masks/a.png.json,{BOX}\nb,masks/a.png,{BOX}\n",
            "line 3: the output's sidecar .* is the output of line 2, too",
        ),
        (
            f"image,output,box\na.png,masks/a.png,{BOX}\nb.png,./a.png,{BOX}\n",
            "line 3: the output .* is the image of line 2",
        ),
        (
            f"image,output,box\na.png,b.png,{BOX}\nb.png,masks/a.png,{BOX}\n",
            "line 2: the output .* is the image of line 3",
        ),
    ],
)
def test_what_is_wrong(write: Write, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(EdgeSamError, match=rf"list\.csv.*{said}") as caught:
        rows(write(text))
    assert "\n" not in str(caught.value)


def test_the_list_itself_is_spared(tmp_path: Path) -> None:
    path = tmp_path / "a.png.json"
    path.write_text(f"image,output,box\nb.png,a.png,{BOX}\n")
    with pytest.raises(EdgeSamError, match=r"the output's sidecar .* is the list itself"):
        rows(path)


def test_a_link_to_the_input_is_the_input(write: Write, tmp_path: Path) -> None:
    path = write(f"image,output,box\na.png,link.png,{BOX}\n")
    (tmp_path / "a.png").touch()
    try:
        (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    except OSError:
        pytest.skip("links cannot be made here")
    with pytest.raises(EdgeSamError, match="is the image of line 2"):
        rows(path)


def test_what_cannot_be_opened(tmp_path: Path, write: Write) -> None:
    with pytest.raises(EdgeSamError, match="cannot be opened: No such file"):
        rows(tmp_path / "none.csv")
    with pytest.raises(EdgeSamError, match=r"cannot be opened"):
        rows(tmp_path)
    with pytest.raises(EdgeSamError, match="save the list as CSV UTF-8"):
        rows(write(f"image,output,box\nä.png,masks/a.png,{BOX}\n", "latin-1"))


def test_the_kind_that_all_are(write: Write) -> None:
    path = write(f"image,output,box\na,masks/a.dcm,{BOX}\n")
    (row,) = rows(path, kind="labelmap")
    assert row.output.holds == "labelmap"
    with pytest.raises(EdgeSamError, match=r"line 2: .* nrrd is written as"):
        rows(path, kind="nrrd")
