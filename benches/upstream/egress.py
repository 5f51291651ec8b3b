# A server that connects: what its connections cost, direct where it may and through its way out where it may not.
import json
import socket
import ssl
import statistics
import sys
import time

ARGUMENTS = {"way": {"type": "string"}, "host": {"type": "string"}, "port": {"type": "integer"}, "count": {"type": "integer"}, "bytes": {"type": "integer"}}
TOOL = {"name": "measure", "inputSchema": {"type": "object", "properties": ARGUMENTS}}
PROXY = ("127.0.0.1", 3128)


def hello(host):
    """What TLS begins with; the rest of it costs the same everywhere, and is left out."""
    context, near, far = ssl.create_default_context(), ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context.wrap_bio(near, far, server_hostname=host).do_handshake()
    except ssl.SSLWantReadError:
        return far.read()


def connect(way, host, port):
    one = socket.create_connection(PROXY if way in ("connect", "socks") else (host, port), 30)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if way == "connect":
        one.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        said = one.recv(4096)
        assert said.startswith(b"HTTP/1.1 200 ") and said.endswith(b"\r\n\r\n"), said
    elif way == "socks":
        one.sendall(b"\5\1\0")
        assert one.recv(2) == b"\5\0"
        one.sendall(b"\5\1\0\3" + bytes([len(host)]) + host.encode() + port.to_bytes(2, "big"))
        assert one.recv(10)[1] == 0
    return one


def measure(way, host, port, count, bytes):
    first = hello(host)
    ask = lambda length: first + length.to_bytes(8, "big")
    waited = []
    for _ in range(count):
        begun = time.perf_counter()
        with connect(way, host, port) as one:
            one.sendall(ask(1))
            assert one.recv(1)
            waited.append(time.perf_counter() - begun)
    space, left = bytearray(1 << 20), bytes
    with connect(way, host, port) as one:
        begun = time.perf_counter()
        one.sendall(ask(bytes))
        while left:
            got = one.recv_into(space)
            assert got, f"{left} are missing"
            left -= got
        took = time.perf_counter() - begun
    return f"{statistics.median(waited) * 1e6:.0f} us, {bytes / took / 1e6:.0f} MB/s"


for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    answer = {"jsonrpc": "2.0", "id": asked["id"]}
    if asked["method"] == "initialize":
        info = {"name": "egress", "version": "1"}
        answer["result"] = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
    elif asked["method"] == "tools/list":
        answer["result"] = {"tools": [TOOL]}
    elif asked["method"] == "tools/call":
        answer["result"] = {"content": [{"type": "text", "text": measure(**asked["params"]["arguments"])}]}
    else:
        answer["error"] = {"code": -32601, "message": "Method not found"}
    print(json.dumps(answer), flush=True)
