//! Rooms: signed logs by multicast.
