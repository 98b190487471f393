//! Private chat over QUIC.
