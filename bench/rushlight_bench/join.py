"""A plain measuring client: from the first SYN to the last byte of the first keyframe.

It behaves as ordinary players do: one RTMP command after another, each waiting for its answer, no socket options.
"""

import http.client
import re
import socket
import struct
import time
from urllib.parse import urlsplit

TIMEOUT_S = 10


class Failed(Exception):
    pass


def join_ms(url: str) -> float:
    """Milliseconds until the first keyframe of the live stream at `url` is complete."""
    start = time.perf_counter()
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname, parts.port), TIMEOUT_S) as connection:
            connection.settimeout(TIMEOUT_S)
            _client(parts)(connection, parts)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Failed(f"{url}: {error!r}") from error
    return (time.perf_counter() - start) * 1000


def _client(parts):
    if parts.scheme == "rtmp":
        return _rtmp
    return {"flv": _flv, "m3u8": _hls, "cmaf": _cmaf}[parts.path.rpartition(".")[2]]


def _is_keyframe(body: bytes) -> bool:
    """FLV VideoTagHeader: frame type 1, and for AVC packet type 1 (a coded picture, not the configuration)."""
    return len(body) > 1 and body[0] == 0x17 and body[1] == 1


class _Stream:
    """Exact reads over `recv`."""

    def __init__(self, receive) -> None:
        self.receive, self.buffer = receive, bytearray()

    def take(self, count: int) -> bytes:
        while len(self.buffer) < count:
            data = self.receive(65536)
            if not data:
                raise ValueError("the server closed the connection")
            self.buffer += data
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken


def _get(connection: socket.socket, parts, path: str) -> http.client.HTTPResponse:
    request = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: */*\r\n\r\n"
    connection.sendall(request.encode())
    response = http.client.HTTPResponse(connection)
    response.begin()
    if response.status != 200:
        raise ValueError(f"HTTP status {response.status}")
    return response


def _hls(connection: socket.socket, parts) -> None:
    """One request after the other: both playlists, the initialization section, and the newest part with a keyframe."""
    def get(path: str) -> bytes:
        return _get(connection, parts, path).read()

    folder = parts.path.rpartition("/")[0]
    variant = next(line for line in get(parts.path).decode().splitlines() if line and not line.startswith("#"))
    folder = f"{folder}/{variant}".rpartition("/")[0]
    playlist = get(f"{folder}/{variant.rpartition('/')[2]}").decode()
    get(folder + "/" + re.search('EXT-X-MAP:URI="([^"]+)', playlist).group(1))
    keyframes = re.findall(r'#EXT-X-PART:[^\n]*URI="([^"]+)",INDEPENDENT=YES', playlist)
    get(f"{folder}/{keyframes[-1]}")


def _cmaf(connection: socket.socket, parts) -> None:
    """One request; the first fragment of the video track begins with a keyframe."""
    stream = _Stream(_get(connection, parts, parts.path).read1)
    video, is_video = None, False
    while True:
        size, kind = struct.unpack(">I4s", stream.take(8))
        body = stream.take(size - 8)
        if kind == b"moov":
            # The identifier in the track header before the handler of pictures.
            at = body.rindex(b"tkhd", 0, body.index(b"vide"))
            video = body[at + 16 : at + 20] if body[at + 4] == 0 else body[at + 24 : at + 28]
        elif kind == b"moof":
            at = body.index(b"tfhd")
            is_video = body[at + 8 : at + 12] == video
        elif kind == b"mdat" and is_video:
            return


def _flv(connection: socket.socket, parts) -> None:
    response = _get(connection, parts, parts.path)
    stream = _Stream(response.read1)
    stream.take(13)
    while True:
        head = stream.take(11)
        body = stream.take(int.from_bytes(head[1:4], "big"))
        if head[0] == 9 and _is_keyframe(body):
            return
        stream.take(4)


def _string(text: str) -> bytes:
    return b"\x02" + struct.pack(">H", len(text)) + text.encode()


def _number(value: float) -> bytes:
    return b"\x00" + struct.pack(">d", value)


def _object(**fields) -> bytes:
    body = b""
    for name, value in fields.items():
        coded = _string(value) if isinstance(value, str) else _number(value)
        body += struct.pack(">H", len(name)) + name.encode() + coded
    return b"\x03" + body + b"\x00\x00\x09"


def _command(stream_id: int, payload: bytes) -> bytes:
    """An AMF0 command message (type 20) on chunk stream 3, in chunks of 128 bytes."""
    head = b"\x03" + b"\x00\x00\x00" + len(payload).to_bytes(3, "big") + b"\x14" + struct.pack("<I", stream_id)
    return head + b"\xc3".join(payload[at : at + 128] for at in range(0, len(payload), 128))


def _rtmp(connection: socket.socket, parts) -> None:
    app, _, name = parts.path.lstrip("/").partition("/")
    stream = _Stream(connection.recv)
    connection.sendall(b"\x03" + bytes(8) + bytes(range(256)) * 5 + bytes(248))
    answer = stream.take(1 + 1536 + 1536)
    connection.sendall(answer[1:1537])
    messages = _messages(stream)
    url = f"rtmp://{parts.netloc}/{app}"
    properties = _object(app=app, flashVer="LNX 9,0,124,2", tcUrl=url, audioCodecs=4071.0, videoCodecs=252.0)
    connection.sendall(_command(0, _string("connect") + _number(1) + properties))
    _result(messages)
    connection.sendall(_command(0, _string("createStream") + _number(2) + b"\x05"))
    stream_id = int(struct.unpack(">d", _result(messages)[-8:])[0])
    connection.sendall(_command(stream_id, _string("play") + _number(3) + b"\x05" + _string(name) + _number(-2000)))
    for kind, payload in messages:
        if kind == 9 and _is_keyframe(payload):
            return
        if kind == 20 and b"NetStream.Play.StreamNotFound" in payload:
            raise ValueError("there is no such stream")


def _result(messages) -> bytes:
    for kind, payload in messages:
        if kind == 20 and payload.startswith(_string("_result")):
            return payload
        if kind == 20 and payload.startswith(_string("_error")):
            raise ValueError("the server refused a command")
    raise AssertionError("messages never end")


def _messages(stream: _Stream):
    """(type, payload) of every message, read from chunks of all four formats."""
    chunk_bytes = 128
    channels: dict[int, dict] = {}
    while True:
        first = stream.take(1)[0]
        form, channel = first >> 6, first & 63
        if channel == 0:
            channel = 64 + stream.take(1)[0]
        elif channel == 1:
            channel = 64 + int.from_bytes(stream.take(2), "little")
        state = channels.setdefault(channel, {"length": 0, "kind": 0, "extended": False, "body": b""})
        if form < 3:
            head = stream.take((11, 7, 3)[form])
            state["extended"] = head[:3] == b"\xff\xff\xff"
            if form < 2:
                state["length"], state["kind"] = int.from_bytes(head[3:6], "big"), head[6]
        if state["extended"]:
            stream.take(4)
        state["body"] += stream.take(min(chunk_bytes, state["length"] - len(state["body"])))
        if len(state["body"]) == state["length"]:
            kind, body, state["body"] = state["kind"], state["body"], b""
            if kind == 1:
                chunk_bytes = int.from_bytes(body, "big") & 0x7FFFFFFF
            yield kind, body
