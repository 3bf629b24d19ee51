import re
from urllib.parse import unquote

import pytest

from app.storage.attachments import attachment


@pytest.mark.parametrize(
    ("filename", "saved_as"),
    [
        ("frames.zip", "frames.zip"),
        ("Vidéo 'été' (1) 100%.zip", "Vidéo 'été' (1) 100%.zip"),
        ("视频.zip", "视频.zip"),
        ('a"; filename="evil.exe', 'a"; filename="evil.exe'),
        ("a\r\nSet-Cookie: x=1\r\n\r\n<script>.zip", "aSet-Cookie: x=1<script>.zip"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\system.ini", "system.ini"),
        (".bashrc", "bashrc"),
        ("..", "download"),
        ("", "download"),
        ("folder/", "download"),
        ("\0\x1b\x7f\u2028", "download"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("\ud800a", "a"),
        ("x" * 5000 + ".zip", "x" * 146 + ".zip"),
    ],
)
def test_a_name_says_only_how_the_file_is_called(filename: str, saved_as: str):
    header = attachment(filename)

    match = re.fullmatch(r"attachment; filename=\"([ -~]+)\"; filename\*=UTF-8''([A-Za-z0-9_.~%-]+)", header)
    assert match
    assert unquote(match[2]) == saved_as
    assert not set('"\\%') & set(match[1])
