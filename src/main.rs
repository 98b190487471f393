//! The program: parses the command line and runs what it asks for.

fn main() {}
