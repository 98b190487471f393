//! The identity of a node: its key and what is signed with it.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::id::{PeerId, PublicKey};

/// An Ed25519 key pair and the id that follows from it.
#[derive(Clone)]
pub struct Identity {
    signing: SigningKey,
    public: PublicKey,
    id: PeerId,
}

impl Identity {
    /// The identity of this 32-byte secret.
    #[must_use]
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        let signing = SigningKey::from_bytes(secret);
        let public = PublicKey(signing.verifying_key().to_bytes());
        Identity {
            signing,
            public,
            id: public.id(),
        }
    }

    /// The secret, to be saved.
    #[must_use]
    pub fn secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.signing.to_bytes())
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> PeerId {
        self.id
    }

    /// Signs `bytes` (RFC 8032).
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        let signature = self.signing.sign(bytes).to_bytes();
        #[cfg(feature = "sim")]
        shared::signed(&self.public, bytes, &signature);
        signature
    }
}

/// Whether `signature` of `bytes` by `key` holds, by the strict rules (no small-order keys, no
/// second spelling of a signature).
#[must_use]
pub fn verify(key: &PublicKey, bytes: &[u8], signature: &[u8; 64]) -> bool {
    #[cfg(feature = "sim")]
    if let Some(known) = shared::verify(key, bytes, signature) {
        return known;
    }
    verify_alone(key, bytes, signature)
}

fn verify_alone(key: &PublicKey, bytes: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(&key.0)
        .and_then(|key| key.verify_strict(bytes, &Signature::from_bytes(signature)))
        .is_ok()
}

/// Verdicts that all nodes of a simulation share, so that a packet is verified once and not once
/// a receiver. One for each thread, and only where a simulation asked for it.
#[cfg(feature = "sim")]
pub mod shared {
    use std::cell::RefCell;
    use std::collections::HashMap;

    use crate::id::PublicKey;

    /// Most verdicts kept; then it begins anew.
    const VERDICTS_MAX: usize = 1 << 17;

    thread_local! {
        static VERDICTS: RefCell<Option<HashMap<[u8; 32], bool>>> = const { RefCell::new(None) };
    }

    /// From now on the nodes on this thread share what they verify.
    pub fn begin() {
        VERDICTS.set(Some(HashMap::new()));
    }

    /// The verdict, looked up or made; none where nothing is shared.
    pub(super) fn verify(key: &PublicKey, bytes: &[u8], signature: &[u8; 64]) -> Option<bool> {
        VERDICTS.with_borrow_mut(|verdicts| {
            let verdict = with_room(verdicts.as_mut()?).entry(name(key, bytes, signature));
            Some(*verdict.or_insert_with(|| super::verify_alone(key, bytes, signature)))
        })
    }

    /// What a key has just signed need not be verified: no node can tell the difference.
    pub(super) fn signed(key: &PublicKey, bytes: &[u8], signature: &[u8; 64]) {
        VERDICTS.with_borrow_mut(|verdicts| {
            if let Some(verdicts) = verdicts {
                with_room(verdicts).insert(name(key, bytes, signature), true);
            }
        });
    }

    fn name(key: &PublicKey, bytes: &[u8], signature: &[u8; 64]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&key.0).update(signature).update(bytes);
        *hasher.finalize().as_bytes()
    }

    fn with_room(verdicts: &mut HashMap<[u8; 32], bool>) -> &mut HashMap<[u8; 32], bool> {
        if verdicts.len() >= VERDICTS_MAX {
            verdicts.clear();
        }
        verdicts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_bytes_and_key_only() {
        let ana = Identity::from_secret(&[1; 32]);
        let ben = Identity::from_secret(&[2; 32]);
        let signature = ana.sign(b"hello");
        assert!(verify(&ana.public(), b"hello", &signature));
        assert!(!verify(&ana.public(), b"hullo", &signature));
        assert!(!verify(&ben.public(), b"hello", &signature));
        assert!(!verify(&PublicKey([0; 32]), b"hello", &signature));
    }
}
