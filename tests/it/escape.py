"""Everything that a confined server must not be able to do, tried for real. Prints one JSON object: attempt -> what came of it.

Each attempt returns when it got through, and raises when it was refused.
"""
import ctypes
import json
import os
import signal
import socket
import struct
import sys

told = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
attempts = {}
# Looked at before any attempt opens something.
inherited = [number for number in range(3, 256) if os.path.lexists(f"/proc/self/fd/{number}")]


def attempt(name):
    def keep(function):
        attempts[name] = function
        return function
    return keep


def call(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def read(path):
    with open(path, "rb") as file:
        if not file.read(64):
            raise OSError("it is empty")


for name, path in {
    "read /etc/shadow": "/etc/shadow" if os.getuid() == 0 else told["secret"],
    "read a secret": told["secret"],
    "read through ..": told["own"] + "/../secret/key",
    "read through a symbolic link": told["own"] + "/link",
    "read through /proc/self/root": "/proc/self/root" + told["secret"],
    "read through /proc/self/cwd": "/proc/self/cwd/../secret/key",
    "read another server's files": told["other"],
    "read a sibling's environment": f"/proc/{told['sibling']}/environ",
    "read through a sibling's root": f"/proc/{told['sibling']}/root{told['secret']}",
    "read the first process's environment": "/proc/1/environ",
}.items():
    attempts[name] = lambda path=path: read(path)


@attempt("read through a hard link")
def _():
    os.link(told["secret"], told["own"] + "/hard")
    read(told["own"] + "/hard")


@attempt("move a secret here")
def _():
    os.rename(told["moved"], told["own"] + "/moved")


@attempt("swap a link while it is opened")
def _():
    path = told["own"] + "/race"
    for turn in range(300):
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        os.symlink(told["secret"], path)
        try:
            return read(path)
        except OSError as error:
            last = error
    raise last


@attempt("bind mount a secret")
def _():
    target = told["own"] + "/mounted"
    os.makedirs(target, exist_ok=True)
    if libc.mount(os.path.dirname(told["secret"]).encode(), target.encode(), None, 4096, None) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    # Without confinement it was the machine's own.
    libc.umount2(target.encode(), 2)


@attempt("write outside")
def _():
    for path in (os.path.dirname(told["secret"]) + "/new", "/usr/lib/new", "/etc/new", "/new", "/dev/new"):
        try:
            return open(path, "w").close()
        except OSError as error:
            last = error
    raise last


@attempt("write the kernel's settings")
def _():
    # Opened only: without confinement this would change the machine.
    os.close(os.open("/proc/sys/kernel/domainname", os.O_WRONLY))


@attempt("run a dropped program")
def _():
    path = told["own"] + "/dropped"
    with open(path, "w") as file:
        file.write("#!" + sys.executable + "\n")
    os.chmod(path, 0o755)
    pid = os.fork()
    if pid == 0:
        try:
            os.execv(path, [path])
        except OSError:
            os._exit(126)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 126:
        raise PermissionError("not executed")


@attempt("run a program that was not granted")
def _():
    pid = os.fork()
    if pid == 0:
        try:
            os.execv(told["program"], [told["program"]])
        except OSError:
            os._exit(126)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 126:
        raise PermissionError("not executed")


@attempt("run a program that lies in memory")
def _():
    fd = call(319 if X86 else 279, b"it\0", 0)
    with open(told["program"] if os.access(told["program"], os.R_OK) else sys.executable, "rb") as file:
        os.write(fd, file.read())
    def run():
        call(322 if X86 else 281, fd, b"\0", (ctypes.c_char_p * 3)(b"it", b"--version", None), (ctypes.c_char_p * 1)(None), 0x1000)
    # What is executed ends by itself with 0; `run` returns only when it was refused.
    with open(os.devnull, "w") as nothing:
        pid = os.fork()
        if pid == 0:
            os.dup2(nothing.fileno(), 1)
            try:
                run()
            except BaseException:
                pass
            os._exit(126)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0:
        raise PermissionError("not executed")


@attempt("set a sibling's limits")
def _():
    import resource
    resource.prlimit(told["sibling"], resource.RLIMIT_NOFILE, resource.prlimit(told["sibling"], resource.RLIMIT_NOFILE))


@attempt("attach another's shared memory")
def _():
    call(30 if X86 else 196, told["shared"], 0, 0o10000)


def connect(host, port):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as one:
        one.settimeout(2)
        one.connect((host, port))


port = told["port"]
for name, host in {
    "connect to the machine": "127.0.0.1",
    "connect, address in decimal": "2130706433",
    "connect, address in octal": "0177.0.0.1",
    "connect, address in hex": "0x7f.1",
    "connect, mapped into IPv6": "::ffff:127.0.0.1",
}.items():
    attempts[name] = lambda host=host: connect(host, port)
attempts["connect to the metadata address"] = lambda: connect("169.254.169.254", 80)
attempts["connect to the internet"] = lambda: connect("1.1.1.1", 443)


@attempt("send UDP")
def _():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(1)
        one.sendto(b"x", ("127.0.0.1", told["udp"]))
        one.recv(8)


@attempt("look a name up")
def _():
    socket.getaddrinfo("secret.tunnel.example.com", 80)


@attempt("connect by MPTCP")
def _():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as one:
        one.settimeout(2)
        one.connect(("127.0.0.1", port))


attempts["open a raw socket"] = lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)
attempts["open a packet socket"] = lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
attempts["open a vsock"] = lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
attempts["connect to a socket in a file"] = lambda: socket.socket(socket.AF_UNIX).connect(told["socket"])
attempts["connect to an abstract socket"] = lambda: socket.socket(socket.AF_UNIX).connect("\0" + told["abstract"])
attempts["signal a sibling"] = lambda: os.kill(told["sibling"], 0)
attempts["signal the gateway"] = lambda: os.kill(told["gateway"], 0)


@attempt("trace a sibling")
def _():
    if libc.ptrace(16, told["sibling"], None, None) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")


X86 = os.uname().machine == "x86_64"
attempts["io_uring"] = lambda: call(425, 8, ctypes.create_string_buffer(256))
attempts["keyctl"] = lambda: call(250 if X86 else 219, 0, -3, 1)
attempts["bpf"] = lambda: call(321 if X86 else 280, 0, ctypes.create_string_buffer(b"\2\0\0\0\4\0\0\0\4\0\0\0\1", 128), 128)
attempts["userfaultfd"] = lambda: call(323 if X86 else 282, 1)
attempts["a new user namespace"] = lambda: in_child(lambda: call(272 if X86 else 97, 0x10000000))
attempts["a new namespace by clone3"] = lambda: in_child(lambda: clone3(0x10000000))
attempts["open by handle"] = lambda: call(303 if X86 else 264, -100, told["own"].encode() + b"\0", ctypes.create_string_buffer(struct.pack("Ii", 128, 0), 256), ctypes.byref(ctypes.c_int()), 0)


def clone3(flags):
    arguments = ctypes.create_string_buffer(struct.pack("QQQQQQQQ", flags, 0, 0, 0, 17, 0, 0, 0), 64)
    if call(435, arguments, 64) == 0:
        os._exit(0)


def in_child(function):
    pid = os.fork()
    if pid == 0:
        try:
            function()
            os._exit(0)
        except BaseException:
            os._exit(1)
    if os.waitpid(pid, 0)[1] != 0:
        raise PermissionError("refused")


@attempt("put words into a terminal")
def _():
    import fcntl
    master, slave = os.openpty()
    fcntl.ioctl(slave, 0x5412, b"x")


@attempt("have a capability")
def _():
    status = open("/proc/self/status").read()
    if int(status.split("CapEff:")[1].split()[0], 16) == 0 and "NoNewPrivs:\t1" in status:
        raise PermissionError("none")


@attempt("inherit a descriptor")
def _():
    if not inherited:
        raise OSError("none")


if told["bombs"]:
    @attempt("write a huge file")
    def _():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            with open(told["own"] + "/huge", "wb") as file:
                for _ in range(64):
                    file.write(b"\0" * (1 << 20))
        finally:
            os.truncate(told["own"] + "/huge", 0)

    @attempt("fill the scratch space")
    def _():
        with open(os.environ["TMPDIR"] + "/full", "wb") as file:
            for _ in range(15):
                file.write(b"\0" * (1 << 20))

    @attempt("start processes without end")
    def _():
        children = []
        try:
            for _ in range(200):
                pid = os.fork()
                if pid == 0:
                    signal.pause()
                children.append(pid)
        finally:
            for pid in children:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    @attempt("take all memory")
    def _():
        in_child(lambda: bytearray(b"\1" * (400 << 20)))


said = {}
for name, function in attempts.items():
    try:
        function()
        said[name] = "THROUGH"
    except BaseException as error:
        said[name] = f"refused: {type(error).__name__} {error}"
print(json.dumps(said))
