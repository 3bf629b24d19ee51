"""A multipart form as it arrives: small fields are kept, the file's bytes are handed on, nothing is spooled."""

from fastapi import HTTPException
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.errors import Invalid, TooLarge

PARTS_MAX = 20
FIELDS_MAX_BYTES = 2**20
FORM_MAX_BYTES = 2 * 2**20
"""All of a form but its file: fields, headers and boundaries."""
FILE_FIELD = "file"


class NoFile(Invalid):
    """The form has no file; send one in the field `file`, with its name."""

    code = "NO_FILE"


class FieldRepeated(Invalid):
    """A field of the form is there twice."""

    code = "FIELD_REPEATED"


class FormTooLarge(TooLarge):
    """The form has too many fields, or too much in them."""

    code = "FORM_TOO_LARGE"


class Form:
    """One form, fed piece by piece in whatever pieces it arrives."""

    def __init__(self, content_type: str | None) -> None:
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data":
            raise HTTPException(415, "Send a form as multipart/form-data.")
        if not options.get(b"boundary"):
            raise HTTPException(400, "The Content-Type of the form names no boundary.")
        try:
            self._parser = MultipartParser(
                options[b"boundary"],
                {
                    "on_part_begin": self._begin_part,
                    "on_header_begin": self._begin_header,
                    "on_header_field": self._take_header_name,
                    "on_header_value": self._take_header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._name_part,
                    "on_part_data": self._take_data,
                    "on_part_end": self._end_part,
                    "on_end": self._complete,
                },
            )
        except FormParserError as error:
            raise HTTPException(400, "The boundary of the form is too long.") from error
        self.fields: dict[str, str] = {}
        """Those that have ended so far."""
        self._filename: str | None = None
        self._is_complete = False
        self._parts = 0
        self._fields_bytes = 0
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._disposition = b""
        self._field: str | None = None
        self._value = bytearray()
        self._file_bytes: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        """Take the next piece of the body; gives what of the file is in it."""
        self._file_bytes.clear()
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise HTTPException(400, "The form is malformed.") from error
        return b"".join(self._file_bytes)

    def end(self) -> str:
        """The body has ended, and so must the form have; gives what the sender calls the file."""
        if not self._is_complete:
            raise HTTPException(400, "The form ends too early.")
        if self._filename is None:
            raise NoFile
        return self._filename

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > PARTS_MAX:
            raise FormTooLarge
        self._disposition = b""
        self._value.clear()

    def _begin_header(self) -> None:
        self._header_name.clear()
        self._header_value.clear()

    def _take_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _take_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = bytes(self._header_value)

    def _name_part(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise HTTPException(400, "A part of the form has no name.")
        name = options[b"name"].decode(errors="replace")
        if name == FILE_FIELD:
            if self._filename is not None:
                raise FieldRepeated("There are two files in the form; send one.")
            if not options.get(b"filename"):
                raise NoFile
            self._filename = options[b"filename"].decode(errors="replace")
            self._field = None
        else:
            if name in self.fields:
                raise FieldRepeated(f"The field `{name[:40]}` is there twice.")
            self._field = name

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        if self._field is None:
            self._file_bytes.append(data[start:end])
            return
        self._fields_bytes += end - start
        if self._fields_bytes > FIELDS_MAX_BYTES:
            raise FormTooLarge
        self._value += data[start:end]

    def _end_part(self) -> None:
        if self._field is not None:
            self.fields[self._field] = self._value.decode(errors="replace")

    def _complete(self) -> None:
        self._is_complete = True
