"""CBOR, event streams, aws-chunked bodies, timestamps and XML: there and back, and what is refused."""

from __future__ import annotations

import math
import struct
import uuid
import zlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.model.errors import ServiceError
from tenantry.protocol import cbor, chunked, eventstream, scalars, xml
from tenantry.protocol.model import ServiceModel
from tenantry.protocol.query import fold, read_form
from tenantry.protocol.scalars import Malformed

TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(TREES)
def test_cbor_there_and_back(tree: Any) -> None:
    assert cbor.decode(cbor.encode(tree)) == tree


@given(st.binary(max_size=60))
def test_cbor_of_anything_is_read_or_refused(data: bytes) -> None:
    try:
        cbor.decode(data)
    except Malformed:
        return


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("f97c00", math.inf),
        ("f93e00", 1.5),
        ("fa47c35000", 100000.0),
        ("c11a514b67b0", 1363896240),
        ("5f42010243030405ff", b"\x01\x02\x03\x04\x05"),
        ("7f657374726561646d696e67ff", "streaming"),
        ("bf6161019f0203ffff".replace("9f", "61629f"), {"a": 1, "b": [2, 3]}),
        ("f7", None),
    ],
)
def test_cbor_of_others(data: str, value: Any) -> None:
    assert cbor.decode(bytes.fromhex(data)) == value


@pytest.mark.parametrize(
    "data",
    [
        "",
        "ff",
        "0000",
        "1c",
        "9a7fffffff",
        "5bffffffffffffffff",
        "a10101",
        "bf01",
        "61ff",
        "c16161",
        "7f4101ff",
        "81" * 200 + "00",
        "f8ff",
        "9fff00",
    ],
)
def test_cbor_that_is_refused(data: str) -> None:
    with pytest.raises(Malformed):
        cbor.decode(bytes.fromhex(data))


def test_cbor_has_no_place_for_some_things() -> None:
    for value in (2**64, object()):
        with pytest.raises(TypeError):
            cbor.encode(value)


HEADERS = st.dictionaries(
    st.text(min_size=1, max_size=20),
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=30) | st.text(max_size=30) | st.uuids(),
    max_size=5,
)


@given(HEADERS, st.binary(max_size=200), st.binary(max_size=20))
def test_events_there_and_back(headers: dict[str, eventstream.HeaderValue], payload: bytes, rest: bytes) -> None:
    message = eventstream.Message(headers, payload)
    data = eventstream.encode(message)
    assert eventstream.decode(data + rest) == (message, len(data))
    assert eventstream.decode(data[:-1]) is None
    for position in (0, 9, len(data) - 1):
        damaged = bytearray(data)
        damaged[position] ^= 1
        with pytest.raises(Malformed):
            eventstream.decode(bytes(damaged))


def test_an_event_of_aws() -> None:
    """The smallest message: two lengths, their checksum, nothing, the checksum of it all."""
    prelude = struct.pack(">II", 16, 0)
    data = prelude + struct.pack(">I", zlib.crc32(prelude))
    assert eventstream.encode(eventstream.Message()) == data + struct.pack(">I", zlib.crc32(data))


def test_events_with_headers_of_every_type() -> None:
    headers: dict[str, eventstream.HeaderValue] = {"t": 1_767_225_600.5, "u": uuid.UUID(int=5), "n": 2**40, "f": False}
    decoded = eventstream.decode(eventstream.encode(eventstream.Message(headers)))
    assert decoded is not None
    assert decoded[0].headers == headers


def events_model() -> ServiceModel:
    shapes = {
        "Out": {"type": "structure", "members": {"s": {"shape": "Events"}}},
        "Events": {"type": "structure", "eventstream": True, "members": {"E": {"shape": "Event"}, "X": {"shape": "Wrong"}}},
        "Event": {
            "type": "structure",
            "event": True,
            "members": {"h": {"shape": "N", "eventheader": True}, "p": {"shape": "S", "eventpayload": True}},
        },
        "Wrong": {"type": "structure", "exception": True, "members": {"Message": {"shape": "S"}}},
        "N": {"type": "integer"},
        "S": {"type": "string"},
    }
    return ServiceModel("e", {"metadata": {"protocol": "json"}, "shapes": shapes, "operations": {}})


async def test_events_of_a_model() -> None:
    union = events_model().shape("Events")
    writer = eventstream.EventWriter(union, lambda shape: lambda value: repr(value).encode(), "application/json")
    closed = []

    async def events() -> Any:
        try:
            yield {"E": {"h": 5, "p": "text"}}
            raise ServiceError("X", "it is over")
        finally:
            closed.append(True)

    messages = []
    async for data in writer.stream(events(), b"{}"):
        decoded = eventstream.decode(data)
        assert decoded is not None
        messages.append(decoded[0])
    first, event, error = messages
    assert first.headers[":event-type"] == "initial-response"
    assert (event.headers["h"], event.headers[":content-type"], event.payload) == (5, "text/plain", b"text")
    assert (error.headers[":message-type"], error.headers[":exception-type"]) == ("exception", "X")
    assert error.payload == b"{'Message': 'it is over'}"
    assert closed == [True]
    unknown = eventstream.decode(writer.exception(ServiceError("InternalFailure", "no")))
    assert unknown is not None
    assert unknown[0].headers == {":error-code": "InternalFailure", ":error-message": "no", ":message-type": "error"}


def chunks(*pieces: bytes, trailer: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + trailer + b"\r\n"


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=4))
def test_chunks_there_and_back(pieces: list[bytes]) -> None:
    body = chunks(*pieces, trailer=b"x-amz-checksum-crc32:AAAAAA==\r\n")
    assert chunked.decode(body, None, None) == (b"".join(pieces), [("x-amz-checksum-crc32", "AAAAAA==")])


@pytest.mark.parametrize(
    ("body", "length"),
    [
        (b"", None),
        (b"zz\r\n", None),
        (b"5\r\nabc\r\n0\r\n\r\n", None),
        (b"3\r\nabcd\r\n0\r\n\r\n", None),
        (b"3\r\nabc\r\n", None),
        (b"-3\r\nabc\r\n0\r\n\r\n", None),
        (b"3\r\nabc\r\n0\r\nno colon\r\n\r\n", None),
        (b"3\r\nabc\r\n0\r\n\r\n", 4),
        (b"3;chunk-signature=short\r\nabc\r\n0\r\n\r\n", None),
        (b"1" * 2000, None),
        (b"0\r\n" + b"a:b\r\n" * 21 + b"\r\n", None),
    ],
)
def test_chunks_that_are_refused(body: bytes, length: int | None) -> None:
    with pytest.raises(chunked.ChunkError):
        chunked.decode(body, None, length)


def test_unsigned_chunks_do_not_pass_for_signed_ones() -> None:
    with pytest.raises(chunked.ChunkSignatureError):
        chunked.decode(chunks(b"abc"), chunked.Chain(b"k", "d", "s", "seed"), None)


@given(st.integers(-62_000_000_000_000, 250_000_000_000_000))
def test_timestamps_there_and_back(epoch_ms: int) -> None:
    epoch = epoch_ms / 1000
    assert scalars.read_any_timestamp(scalars.write_iso8601(epoch)) == pytest.approx(epoch, abs=0.0005)
    assert scalars.read_any_timestamp(scalars.write_iso8601_ms(epoch)) == pytest.approx(epoch, abs=0.0005)
    whole = epoch_ms // 1000
    assert scalars.read_any_timestamp(scalars.write_http_date(whole)) == whole
    assert scalars.read_any_timestamp(scalars.timestamp_writer("unixTimestamp")(epoch)) == pytest.approx(epoch, abs=0.0005)


@pytest.mark.parametrize(
    ("text", "epoch"),
    [
        ("2014-04-29T18:30:38Z", 1398796238),
        ("2014-04-29T19:30:38+01:00", 1398796238),
        ("2014-04-29", 1398729600),
        ("Tue, 29 Apr 2014 18:30:38 GMT", 1398796238),
        ("Tue, 29 Apr 2014 18:30:38.500 GMT", 1398796238.5),
        ("29 Apr 2014 20:30:38 +0200", 1398796238),
        ("1398796238", 1398796238),
        ("1398796238.25", 1398796238.25),
        ("1.398796238E9", 1398796238),
    ],
)
def test_timestamps_of_others(text: str, epoch: float) -> None:
    assert scalars.read_any_timestamp(text) == epoch


@pytest.mark.parametrize("text", ["", "yesterday", "2014-13-29", "Tue, 31 Feb 2014 18:30:38 GMT", "NaN", "Infinity", "9" * 400])
def test_timestamps_that_are_none(text: str) -> None:
    with pytest.raises(Malformed):
        scalars.read_any_timestamp(text)


def test_timestamps_to_write() -> None:
    assert scalars.write_iso8601(datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))) == "2026-01-01T10:00:00Z"
    assert scalars.write_iso8601(datetime(2026, 1, 1, 0, 0, 0, 123456)) == "2026-01-01T00:00:00.123Z"
    assert scalars.to_epoch(datetime(2026, 1, 1, tzinfo=UTC)) == 1_767_225_600
    for wrong in ("2026", True, None):
        with pytest.raises(TypeError):
            scalars.to_epoch(wrong)  # type: ignore[arg-type]


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"])))
def test_xml_text_there_and_back(text: str) -> None:
    if "\ufffe" in text or "\uffff" in text:
        return
    assert (xml.parse_document(f"<a>{xml.escape(text)}</a>".encode()).text or "") == text


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        '<?xml version="1.0" encoding="utf-16"?><a/>'.encode("utf-16"),
        b'<?xml version="1.0" encoding="cp037"?>' + '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode("cp037"),
        b"<a>&undefined;</a>",
        b"<a>",
        b"",
        b"<a>\xff</a>",
        b"\xef\xbb\xbf",
    ],
)
def test_xml_that_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed):
        xml.parse_document(body)


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_forms_are_read_or_refused(fields: dict[str, str]) -> None:
    try:
        fold(fields)
    except Malformed:
        return


def test_forms_have_limits() -> None:
    with pytest.raises(Malformed):
        fold({".".join("a" * 40): "x"})
    with pytest.raises(Malformed):
        read_form("&".join(f"a{number}=1" for number in range(20_001)))
    assert fold({"A": "1", "A.b": "2"}) == {"A": {"": "1", "b": "2"}}
    assert fold({"A.b": "2", "A": "1"}) == {"A": {"": "1", "b": "2"}}
