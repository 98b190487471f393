//! Settings of QUIC and TLS 1.3: no tickets, no early data, tight limits.
//!
//! Nothing here reads a clock: a raw key has no date, and the age of a Retry token is measured
//! by the time that the core is given.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use quinn_proto::congestion::CubicConfig;
use quinn_proto::crypto::rustls::{NoInitialCipherSuite, QuicClientConfig, QuicServerConfig};
use quinn_proto::crypto::{CryptoError, HmacKey};
use quinn_proto::{
    AckFrequencyConfig, ClientConfig, ConnectionId, ConnectionIdGenerator, EndpointConfig,
    NoneTokenStore, ServerConfig, TimeSource, TransportConfig, ValidationTokenConfig, VarInt,
};
use rustls::Error;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::UnixTime;
use rustls::sign::CertifiedKey;

use super::keys::{Expected, Verifier, certified};
use crate::id::PublicKey;
use crate::limits::QUIC_INCOMING_MAX;
use crate::proto::Identity;

/// The application protocol (RFC 7301).
const ALPN: &[u8] = b"lanchat/1";
/// Length of the connection ids that we give out (as short as is safe to guess against).
const CID_LEN: usize = 8;
/// A connection without traffic ends after this long.
const IDLE_TIMEOUT_MS: u32 = 30_000;
/// Bytes that a peer may send ahead of what we read on one stream: two messages.
const RECEIVE_WINDOW: u32 = 128 * 1024;
/// The same on all streams: a stream that nobody reads leaves room for messages.
const CONNECTION_WINDOW: u32 = 3 * RECEIVE_WINDOW;
/// Bytes that wait in a connection for their acknowledgement by QUIC.
const SEND_WINDOW: u64 = 256 * 1024;
/// Bytes that one handshake may hold back before it is accepted, and all together.
const INCOMING_BUFFER: u64 = 64 * 1024;
const INCOMING_BUFFER_TOTAL: u64 = 1024 * 1024;

/// The time that the core was last given, for the age of Retry tokens.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock(Arc<AtomicU64>);

impl Clock {
    /// Sets how long this node runs.
    pub(super) fn set(&self, since_start: Duration) {
        let ms = u64::try_from(since_start.as_millis()).unwrap_or(u64::MAX);
        self.0.store(ms, Ordering::Relaxed);
    }
}

impl TimeSource for Clock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// Everything that a connection is made with.
pub(super) struct Settings {
    own: Arc<CertifiedKey>,
    provider: Arc<CryptoProvider>,
    transport: Arc<TransportConfig>,
    seed: [u8; 32],
    dialled: Arc<AtomicU64>,
}

impl Settings {
    pub(super) fn new(identity: &Identity, seed: [u8; 32]) -> Self {
        Settings {
            own: Arc::new(certified(identity)),
            provider: Arc::new(rustls::crypto::ring::default_provider()),
            transport: Arc::new(transport()),
            seed: blake3::derive_key("lanchat 1 QUIC connection ids", &seed),
            dialled: Arc::default(),
        }
    }

    /// Settings of the endpoint. The key of stateless resets (RFC 9000, 10.3) follows from the
    /// identity, so that a node that started again can tell its peers that it forgot them.
    pub(super) fn endpoint(&self, identity: &Identity, seed: [u8; 32]) -> EndpointConfig {
        let secret = identity.secret();
        let reset_key = blake3::derive_key("lanchat 1 QUIC stateless reset", &secret[..]);
        let mut config = EndpointConfig::new(Arc::new(ResetKey(reset_key)));
        let cid_seed = self.seed;
        // Our first byte must stay >= 0x40 for lanchat's own packets to be told apart.
        config
            .grease_quic_bit(false)
            .rng_seed(Some(seed))
            .cid_generator(move || Box::new(Cids::new(cid_seed)));
        config
    }

    /// Settings of connections that others dial.
    pub(super) fn server(
        &self,
        own: &PublicKey,
        clock: Clock,
    ) -> Result<ServerConfig, SettingsError> {
        let verifier = Arc::new(Verifier::new(Expected::AnyBut(*own), &self.provider));
        let mut tls =
            rustls::ServerConfig::builder_with_details(self.provider.clone(), Arc::new(NoDate))
                .with_protocol_versions(&[&rustls::version::TLS13])?
                .with_client_cert_verifier(verifier)
                .with_cert_resolver(Arc::new(
                    rustls::server::AlwaysResolvesServerRawPublicKeys::new(self.own.clone()),
                ));
        tls.alpn_protocols = vec![ALPN.to_vec()];
        // With a ticket the verifier would not run again.
        tls.send_tls13_tickets = 0;
        tls.max_early_data_size = 0;
        tls.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        let mut tokens = ValidationTokenConfig::default();
        tokens.sent(0);
        let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
        config
            .transport_config(self.transport.clone())
            .validation_token_config(tokens)
            .max_incoming(QUIC_INCOMING_MAX)
            .incoming_buffer_size(INCOMING_BUFFER)
            .incoming_buffer_size_total(INCOMING_BUFFER_TOTAL)
            .time_source(Arc::new(clock));
        Ok(config)
    }

    /// Settings of a connection that we dial, which only this peer can answer.
    pub(super) fn client(&self, peer: &PublicKey) -> Result<ClientConfig, SettingsError> {
        let verifier = Arc::new(Verifier::new(Expected::Only(*peer), &self.provider));
        let mut tls =
            rustls::ClientConfig::builder_with_details(self.provider.clone(), Arc::new(NoDate))
                .with_protocol_versions(&[&rustls::version::TLS13])?
                .dangerous()
                .with_custom_certificate_verifier(verifier)
                .with_client_cert_resolver(Arc::new(
                    rustls::client::AlwaysResolvesClientRawPublicKeys::new(self.own.clone()),
                ));
        tls.alpn_protocols = vec![ALPN.to_vec()];
        tls.resumption = rustls::client::Resumption::disabled();
        tls.enable_early_data = false;
        tls.enable_sni = false;
        let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
        let (seed, dialled) = (self.seed, self.dialled.clone());
        config
            .transport_config(self.transport.clone())
            .token_store(Arc::new(NoneTokenStore))
            .initial_dst_cid_provider(Arc::new(move || {
                let number = dialled.fetch_add(1, Ordering::Relaxed);
                cid(&seed, b"initial", number, 16)
            }));
        Ok(config)
    }
}

/// The crypto provider lacks something; cannot happen with the one that is built in.
#[derive(Debug, thiserror::Error)]
pub(super) enum SettingsError {
    #[error(transparent)]
    Tls(#[from] Error),
    #[error(transparent)]
    Quic(#[from] NoInitialCipherSuite),
}

fn transport() -> TransportConfig {
    let mut ack = AckFrequencyConfig::default();
    ack.max_ack_delay(Some(Duration::from_millis(1)));
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(super::streams::streams_max())
        .max_concurrent_uni_streams(VarInt::from_u32(1))
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(VarInt::from_u32(IDLE_TIMEOUT_MS).into()))
        .keep_alive_interval(None)
        .stream_receive_window(VarInt::from_u32(RECEIVE_WINDOW))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW))
        .send_window(SEND_WINDOW)
        .initial_rtt(Duration::from_millis(5))
        .initial_mtu(1200)
        .ack_frequency_config(Some(ack))
        .allow_spin(false)
        .congestion_controller_factory(Arc::new(CubicConfig::default()));
    config
}

/// Connection ids from a secret seed, so that runs can be repeated.
struct Cids {
    seed: [u8; 32],
    number: u64,
}

impl Cids {
    fn new(seed: [u8; 32]) -> Self {
        Cids { seed, number: 0 }
    }
}

impl ConnectionIdGenerator for Cids {
    fn generate_cid(&mut self) -> ConnectionId {
        self.number += 1;
        cid(&self.seed, b"given out", self.number, CID_LEN)
    }
    fn cid_len(&self) -> usize {
        CID_LEN
    }
    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

fn cid(seed: &[u8; 32], what: &[u8], number: u64, len: usize) -> ConnectionId {
    let mut hasher = blake3::Hasher::new_keyed(seed);
    hasher.update(what).update(&number.to_be_bytes());
    ConnectionId::new(&hasher.finalize().as_bytes()[..len])
}

/// Keyed BLAKE3 in place of HMAC, for stateless reset tokens only.
struct ResetKey([u8; 32]);

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(data).finalize_xof().fill(signature_out);
    }
    fn signature_len(&self) -> usize {
        32
    }
    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let signature = blake3::Hash::from_slice(signature).map_err(|_| CryptoError)?;
        // Compared in constant time.
        let same = blake3::keyed_hash(&self.0, data) == signature;
        same.then_some(()).ok_or(CryptoError)
    }
}

/// A raw key has no validity in time.
#[derive(Debug)]
struct NoDate;

impl rustls::time_provider::TimeProvider for NoDate {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::ZERO))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_ids_follow_from_the_seed() {
        let (mut one, mut same) = (Cids::new([1; 32]), Cids::new([1; 32]));
        let (first, second) = (one.generate_cid(), one.generate_cid());
        assert_ne!(first, second);
        assert_eq!(first, same.generate_cid());
        assert_ne!(first, Cids::new([2; 32]).generate_cid());
    }
}
