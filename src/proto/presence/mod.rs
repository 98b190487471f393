//! Presence: who is here.
