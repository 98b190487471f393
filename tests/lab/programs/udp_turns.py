"""A chat that strictly takes turns, the other side first: OWN_PORT FRIENDS_PORT."""
import socket
import sys

own, friend = int(sys.argv[1]), int(sys.argv[2])
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", own))
print("ready", flush=True)
while True:
    data, _ = sock.recvfrom(4096)
    print("friend:", data.decode(), flush=True)
    if data in (b"quit", b"exit", b"bye bye"):
        break
    line = sys.stdin.readline().rstrip("\n")
    sock.sendto(line.encode(), ("127.0.0.1", friend))
    if line in ("quit", "exit", "bye bye"):
        break
