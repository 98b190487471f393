"""Sends each line it reads to PORT."""
import socket
import sys

port = int(sys.argv[1])
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", 0))
print("ready", sock.getsockname()[1], flush=True)
for line in sys.stdin:
    sock.sendto(line.rstrip("\n").encode(), ("127.0.0.1", port))
