//! The identity of a node: its key and what is signed with it.

use std::collections::BTreeMap;

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
        let signature = self.sign_handshake(bytes);
        #[cfg(feature = "sim")]
        shared::note(&self.public, bytes, &signature);
        signature
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
    verify_alone(key, bytes, signature)
}

/// Most keys kept unpacked.
const KEYS_MAX: usize = 64;

/// Keys by which something was signed, as the check of a signature needs them: to unpack one is an
/// eighth of the check.
#[derive(Default)]
pub struct Keys(BTreeMap<PublicKey, VerifyingKey>);

impl Keys {
    /// As [`verify`].
    pub fn verify(&mut self, key: &PublicKey, bytes: &[u8], signature: &[u8; 64]) -> bool {
        #[cfg(feature = "sim")]
        if let Some(known) = shared::verify(key, bytes, signature) {
            return known;
        }
        let kept = self.0.get(key);
        let Some(unpacked) = kept.copied().or_else(|| unpack(key)) else {
            return false;
        };
        let is_kept = kept.is_some();
        let signature = Signature::from_bytes(signature);
        let holds = unpacked.verify_strict(bytes, &signature).is_ok();
        // Only what somebody signed by, or anybody could fill it.
        if holds && !is_kept {
            if self.0.len() >= KEYS_MAX {
                self.0.pop_first();
            }
            self.0.insert(*key, unpacked);
        }
        holds
    }
}

fn unpack(key: &PublicKey) -> Option<VerifyingKey> {
    VerifyingKey::from_bytes(&key.0).ok()
}

fn verify_alone(key: &PublicKey, bytes: &[u8], signature: &[u8; 64]) -> bool {
    let signature = Signature::from_bytes(signature);
    unpack(key).is_some_and(|key| key.verify_strict(bytes, &signature).is_ok())
}

/// Signatures where many nodes share a thread, and only where a simulation asked for it.
#[cfg(feature = "sim")]
pub mod shared {
    use std::cell::RefCell;
    use std::collections::HashMap;
    use std::collections::hash_map::Entry;
    use std::sync::Arc;

    use crate::id::PublicKey;
    use crate::wire::PeerRecord;

    /// Most records kept; then it begins anew.
    const RECORDS_MAX: usize = 1 << 13;
    /// Most verdicts kept; then it begins anew.
    const VERDICTS_MAX: usize = 1 << 17;

    /// The last verdict: whatever goes to all is verified by one receiver after the other.
    #[derive(Debug)]
    struct Last {
        of: (PublicKey, [u8; 64]),
        bytes: Vec<u8>,
        holds: bool,
    }

    /// What the nodes on a thread share.
    #[derive(Debug)]
    enum Shared {
        /// Verdicts on real signatures: a packet is verified once and not once a receiver, and one
        /// that was signed here not at all.
        Verdicts(HashMap<[u8; 32], bool>, Option<Last>),
        /// Secrets. A signature is a MAC with one of them: as hard to forge for whoever plays by
        /// these rules, and a hundred times as fast.
        Secrets(HashMap<[u8; 32], [u8; 32]>),
    }

    thread_local! {
        static SHARED: RefCell<Option<Shared>> = const { RefCell::new(None) };
        static RECORDS: RefCell<HashMap<[u8; 32], Arc<PeerRecord>>> = RefCell::default();
    }

    /// From now on the nodes on this thread share verdicts on real signatures: what one of them
    /// signed or verified is not verified again.
    pub fn begin() {
        begin_as(Shared::Verdicts(HashMap::new(), None));
    }

    /// From now on the nodes on this thread sign with MACs.
    pub fn begin_with_macs() {
        begin_as(Shared::Secrets(HashMap::new()));
    }

    fn begin_as(shared: Shared) {
        SHARED.set(Some(shared));
        RECORDS.with_borrow_mut(HashMap::clear);
    }

    /// The one copy of a record that all nodes on this thread hold; none where nothing is shared.
    pub(in crate::proto) fn record(record: &PeerRecord) -> Option<Arc<PeerRecord>> {
        SHARED.with_borrow(Option::is_some).then_some(())?;
        RECORDS.with_borrow_mut(|records| {
            if records.len() >= RECORDS_MAX {
                records.clear();
            }
            let hash = *blake3::hash(&record.bytes).as_bytes();
            let shared = records.entry(hash).or_insert_with(|| record.clone().into());
            Some(Arc::clone(shared))
        })
    }

    /// The signature; none where a real one is due.
    pub(super) fn sign(key: &PublicKey, secret: &[u8; 32], bytes: &[u8]) -> Option<[u8; 64]> {
        SHARED.with_borrow_mut(|shared| {
            let Some(Shared::Secrets(secrets)) = shared else {
                return None;
            };
            secrets.entry(key.0).or_insert(*secret);
            Some(mac(secret, bytes))
        })
    }

    /// The verdict, looked up or made; none where nothing is shared. Who never signed with a MAC has
    /// no signature.
    pub(super) fn verify(key: &PublicKey, bytes: &[u8], signature: &[u8; 64]) -> Option<bool> {
        SHARED.with_borrow_mut(|shared| match shared.as_mut()? {
            Shared::Secrets(secrets) => {
                let secret = secrets.get(&key.0);
                Some(secret.is_some_and(|secret| mac(secret, bytes) == *signature))
            }
            Shared::Verdicts(verdicts, last) => {
                let of = |last: &&Last| last.of == (*key, *signature) && last.bytes == bytes;
                if let Some(last) = last.as_ref().filter(of) {
                    return Some(last.holds);
                }
                let verdict = entry(verdicts, key, bytes, signature);
                let holds = *verdict.or_insert_with(|| super::verify_alone(key, bytes, signature));
                let (of, bytes) = ((*key, *signature), bytes.to_vec());
                *last = Some(Last { of, bytes, holds });
                Some(holds)
            }
        })
    }

    /// A real signature was made here.
    pub(super) fn note(key: &PublicKey, bytes: &[u8], signature: &[u8; 64]) {
        SHARED.with_borrow_mut(|shared| {
            if let Some(Shared::Verdicts(verdicts, _)) = shared {
                entry(verdicts, key, bytes, signature).or_insert(true);
            }
        });
    }

    fn entry<'a>(
        verdicts: &'a mut HashMap<[u8; 32], bool>,
        key: &PublicKey,
        bytes: &[u8],
        signature: &[u8; 64],
    ) -> Entry<'a, [u8; 32], bool> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&key.0).update(signature).update(bytes);
        if verdicts.len() >= VERDICTS_MAX {
            verdicts.clear();
        }
        verdicts.entry(*hasher.finalize().as_bytes())
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
    fn a_kept_key_says_the_same_and_only_who_signed_is_kept() {
        let mut keys = Keys::default();
        let all: Vec<Identity> = (0..=KEYS_MAX)
            .map(|number| Identity::from_secret(&[u8::try_from(number).expect("small"); 32]))
            .collect();
        for _ in 0..2 {
            for who in &all {
                let signature = who.sign(b"hello");
                assert!(keys.verify(&who.public(), b"hello", &signature));
                assert!(keys.verify(&who.public(), b"hello", &signature), "kept");
                assert!(!keys.verify(&who.public(), b"hullo", &signature));
            }
        }
        assert_eq!(keys.0.len(), KEYS_MAX);
        let kept: Vec<PublicKey> = keys.0.keys().copied().collect();
        let stranger = Identity::from_secret(&[99; 32]);
        assert!(!keys.verify(&stranger.public(), b"hello", &stranger.sign(b"other")));
        assert!(!keys.verify(&PublicKey([0; 32]), b"hello", &[0; 64]));
        assert!(keys.0.keys().eq(&kept));
    }

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
        let ana = Identity::from_secret(&[1; 32]);
        let ben = Identity::from_secret(&[2; 32]);
        for begin in [shared::begin, shared::begin_with_macs] {
            begin();
            let signature = ana.sign(b"hello");
            assert!(!verify(&ben.public(), b"hello", &signature));
            let other = ben.sign(b"hello");
            assert_ne!(signature, other);
            for _ in 0..2 {
                assert!(verify(&ana.public(), b"hello", &signature));
                assert!(!verify(&ana.public(), b"hullo", &signature));
                assert!(!verify(&ben.public(), b"hello", &signature));
            }
        }
    }
}
