"""Prints what the server sends, and sends its input without newlines: PORT."""
import os
import socket
import sys
import threading

sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))


def receive():
    while True:
        data = sock.recv(1024)
        if not data:
            print("the server closed", flush=True)
            os._exit(0)
        for text in data.decode().splitlines():
            print("server:", text, flush=True)


threading.Thread(target=receive, daemon=True).start()
print("ready", sock.getsockname()[1], flush=True)
for line in sys.stdin:
    sock.send(line.rstrip("\n").encode())
