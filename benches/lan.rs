//! The figures of a LAN.

fn main() {}
