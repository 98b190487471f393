"""Prints what is sent to it: PORT."""
import socket
import sys

port = int(sys.argv[1])
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", port))
print("ready", flush=True)
while True:
    data, address = sock.recvfrom(65536)
    print(address[1], repr(data.decode()), flush=True)
