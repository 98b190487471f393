//! A checked reader and writer of big-endian fields.
