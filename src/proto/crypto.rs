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
        #[cfg(feature = "sim")]
        if let Some(signature) = shared::sign(&self.public, self.signing.as_bytes(), bytes) {
            return signature;
        }
        self.sign_handshake(bytes)
    }

    /// The same for TLS, which checks signatures by itself.
    #[must_use]
    pub fn sign_handshake(&self, bytes: &[u8]) -> [u8; 64] {
        self.signing.sign(bytes).to_bytes()
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
    VerifyingKey::from_bytes(&key.0)
        .and_then(|key| key.verify_strict(bytes, &Signature::from_bytes(signature)))
        .is_ok()
}

/// Signatures of a simulation: a MAC with the secret, which all nodes on the thread look up. As hard
/// to forge for whoever plays by these rules, and a hundred times as fast. One table for each thread,
/// and only where a simulation asked for it.
#[cfg(feature = "sim")]
pub mod shared {
    use std::cell::RefCell;
    use std::collections::HashMap;

    use crate::id::PublicKey;

    thread_local! {
        static SECRETS: RefCell<Option<HashMap<[u8; 32], [u8; 32]>>> = const { RefCell::new(None) };
    }

    /// From now on the nodes on this thread sign like this.
    pub fn begin() {
        SECRETS.set(Some(HashMap::new()));
    }

    /// The signature; none where a real one is due.
    pub(super) fn sign(key: &PublicKey, secret: &[u8; 32], bytes: &[u8]) -> Option<[u8; 64]> {
        SECRETS.with_borrow_mut(|secrets| {
            secrets.as_mut()?.entry(key.0).or_insert(*secret);
            Some(mac(secret, bytes))
        })
    }

    /// The verdict; none where real signatures are due. Who never signed has no signature.
    pub(super) fn verify(key: &PublicKey, bytes: &[u8], signature: &[u8; 64]) -> Option<bool> {
        SECRETS.with_borrow(|secrets| {
            let secret = secrets.as_ref()?.get(&key.0);
            Some(secret.is_some_and(|secret| mac(secret, bytes) == *signature))
        })
    }

    fn mac(secret: &[u8; 32], bytes: &[u8]) -> [u8; 64] {
        let mut hasher = blake3::Hasher::new_keyed(secret);
        hasher.update(bytes);
        let mut mac = [0; 64];
        hasher.finalize_xof().fill(&mut mac);
        mac
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

    #[cfg(feature = "sim")]
    #[test]
    fn a_signature_of_a_simulation_holds_for_its_bytes_and_key_only() {
        shared::begin();
        let ana = Identity::from_secret(&[1; 32]);
        let ben = Identity::from_secret(&[2; 32]);
        let signature = ana.sign(b"hello");
        assert!(!verify(&ben.public(), b"hello", &signature), "never signed");
        let _ = ben.sign(b"hello");
        assert!(verify(&ana.public(), b"hello", &signature));
        assert!(!verify(&ana.public(), b"hullo", &signature));
        assert!(!verify(&ben.public(), b"hello", &signature));
    }
}
