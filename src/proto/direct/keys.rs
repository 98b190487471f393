//! Raw Ed25519 keys in TLS (RFC 7250): the own one, and whose is taken at the other end.

use std::sync::Arc;

use ed25519_dalek::VerifyingKey;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    SignatureAlgorithm, SignatureScheme,
};

use crate::id::PublicKey;
use crate::proto::Identity;

/// What stands before the 32 bytes of an Ed25519 key in its SubjectPublicKeyInfo (RFC 8410).
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// The key that a raw public key (DER, RFC 7250) holds; none for another kind, and for the few
/// weak points under which a signature proves nothing.
pub(super) fn key_of(spki: &[u8]) -> Option<PublicKey> {
    let (prefix, key) = spki.split_first_chunk::<12>()?;
    let key: [u8; 32] = key.try_into().ok()?;
    let point = VerifyingKey::from_bytes(&key).ok()?;
    (*prefix == SPKI_PREFIX && !point.is_weak()).then_some(PublicKey(key))
}

fn spki(key: &PublicKey) -> Vec<u8> {
    [&SPKI_PREFIX[..], &key.0[..]].concat()
}

/// The own key as TLS presents it.
pub(super) fn certified(identity: &Identity) -> CertifiedKey {
    let key = CertificateDer::from(spki(&identity.public()));
    CertifiedKey::new(vec![key], Arc::new(OwnKey(identity.clone())))
}

/// The own key, which never leaves [`Identity`].
struct OwnKey(Identity);

impl std::fmt::Debug for OwnKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OwnKey")
    }
}

impl SigningKey for OwnKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered
            .contains(&SignatureScheme::ED25519)
            .then(|| Box::new(OwnKey(self.0.clone())) as Box<dyn Signer>)
    }
    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(spki(&self.0.public())))
    }
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for OwnKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.sign_handshake(message).to_vec())
    }
    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// Whose key is taken.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expected {
    /// Only this one: we dialled it.
    Only(PublicKey),
    /// Any but this, the own one.
    AnyBut(PublicKey),
}

/// Checks the key of the other end, and its signature of the handshake.
#[derive(Debug)]
pub(super) struct Verifier {
    expected: Expected,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    pub(super) fn new(expected: Expected, provider: &Arc<CryptoProvider>) -> Self {
        Verifier {
            expected,
            provider: provider.clone(),
        }
    }

    fn check(&self, key: &[u8], others: &[CertificateDer<'_>]) -> Result<(), Error> {
        let key = key_of(key).filter(|_| others.is_empty());
        let key = key.ok_or(CertificateError::BadEncoding)?;
        let good = match self.expected {
            Expected::Only(expected) => key == expected,
            Expected::AnyBut(own) => key != own,
        };
        good.then_some(())
            .ok_or_else(|| CertificateError::ApplicationVerificationFailure.into())
    }

    fn check_signature(
        &self,
        message: &[u8],
        key: &[u8],
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let key = SubjectPublicKeyInfoDer::from(key);
        verify_tls13_signature_with_raw_key(message, &key, signed, algorithms)
    }
}

fn no_tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(PeerIncompatible::Tls13RequiredForQuic.into())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates)?;
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, intermediates)?;
        Ok(ClientCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_key_reads_back_and_nothing_else_does() {
        let key = Identity::from_secret(&[1; 32]).public();
        let mut der = spki(&key);
        assert_eq!(der.len(), 44);
        assert_eq!(key_of(&der), Some(key));
        assert_eq!(key_of(&der[..43]), None);
        der.push(0);
        assert_eq!(key_of(&der), None);
        der.pop();
        der[8] ^= 1;
        assert_eq!(key_of(&der), None);
        // The neutral point: anybody can sign for it.
        let mut weak = [0; 32];
        weak[0] = 1;
        assert_eq!(key_of(&spki(&PublicKey(weak))), None);
    }

    #[test]
    fn a_verifier_takes_whom_it_should() {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let ana = Identity::from_secret(&[1; 32]).public();
        let ben = Identity::from_secret(&[2; 32]).public();
        let only = Verifier::new(Expected::Only(ana), &provider);
        assert!(only.check(&spki(&ana), &[]).is_ok());
        assert!(only.check(&spki(&ben), &[]).is_err());
        let any = Verifier::new(Expected::AnyBut(ana), &provider);
        assert!(any.check(&spki(&ben), &[]).is_ok());
        assert!(any.check(&spki(&ana), &[]).is_err());
        let more = [CertificateDer::from(spki(&ben))];
        assert!(any.check(&spki(&ben), &more).is_err());
    }
}
