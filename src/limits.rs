//! Every bound of the program in one table. Sizes in bytes, rates per second, times as named.

/// Whether what is said is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Keep {
    /// Up to [`Limits::history_entries`] and [`Limits::history_days`].
    #[default]
    All,
    /// Nothing but where the own logs stand.
    None,
}

/// The bounds that a person or a bench may set. Rates per second.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Messages of the person at this node, in all rooms together.
    pub person_rate: u32,
    /// Of these at once, before they wait.
    pub person_burst: u32,
    /// Group packets of this node.
    pub node_rate: u32,
    /// Of these at once.
    pub node_burst: u32,
    /// Authenticated group packets of all, above which everybody slows down.
    pub group_packets: u32,
    /// The same in bits.
    pub group_bits: u32,
    /// Datagrams of one source before any crypto; ten times as many of a known peer.
    pub source_rate: u32,
    /// Signature checks of all that was not asked for; half is kept for known peers.
    pub verify_rate: u32,
    /// NACK answers to one peer.
    pub nack_answers: u32,
    /// Bytes of NACK answers to one peer.
    pub nack_bytes: u32,
    /// Entries kept of a room.
    pub history_entries: u32,
    /// Days for which they are kept.
    pub history_days: u32,
    /// Whether they are kept at all.
    pub keep: Keep,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            person_rate: 5,
            person_burst: 10,
            node_rate: 30,
            node_burst: 60,
            group_packets: 200,
            group_bits: 1_000_000,
            source_rate: 100,
            verify_rate: 2000,
            nack_answers: 50,
            nack_bytes: 64 * 1000,
            history_entries: 10_000,
            history_days: 30,
            keep: Keep::All,
        }
    }
}

/// Largest UDP payload we send or accept as a lanchat packet; never IP-fragmented.
pub const DATAGRAM_LEN_MAX: usize = 1200;
/// Largest peer record, its signature included.
pub const RECORD_LEN_MAX: usize = 320;
/// Longest name of a person or a room, in bytes of UTF-8.
pub const NAME_LEN_MAX: usize = 32;
/// Longest status text, in bytes of UTF-8.
pub const STATUS_LEN_MAX: usize = 48;
/// Most open rooms a record lists.
pub const RECORD_ROOMS_MAX: usize = 6;
/// Longest body of one entry.
pub const ENTRY_BODY_LEN_MAX: usize = 900;
/// Most parts of one room message.
pub const ENTRY_PARTS_MAX: u32 = 19;
/// Longest text of a room message, whatever the parts.
pub const ROOM_TEXT_LEN_MAX: usize = 16 * 1024;
/// Most entries that one entry may name as dependencies.
pub const ENTRY_DEPS_MAX: usize = 4;
/// Longest body of a private message.
pub const PRIVATE_BODY_LEN_MAX: usize = 64 * 1024;
/// Most heads that a heartbeat carries for one room.
pub const HEARTBEAT_HEADS_MAX: usize = 8;
/// Most news (changed records) that a heartbeat carries.
pub const HEARTBEAT_NEWS_MAX: usize = 4;
/// Most echoes that a heartbeat carries.
pub const HEARTBEAT_ECHOES_MAX: usize = 2;
/// Most peers of whose paths a heartbeat tells.
pub const HEARTBEAT_HEARD_MAX: usize = 16;
/// Most rooms of which a heartbeat carries the state.
pub const HEARTBEAT_ROOMS_MAX: usize = 4;
/// Most members that a ROOM BEACON names.
pub const BEACON_MEMBERS_MAX: usize = 64;
/// Most heads that a ROOM BEACON carries.
pub const BEACON_HEADS_MAX: usize = 24;
/// Longest token of a WELCOME.
pub const TOKEN_LEN_MAX: usize = 16;
/// Most buckets whose digests a SYNC REQUEST carries.
pub const SYNC_BUCKETS_MAX: usize = 64;
/// Most ids that a SYNC REQUEST asks for one by one.
pub const SYNC_IDS_MAX: usize = 16;
/// Most records of a SYNC RESPONSE.
pub const SYNC_RECORDS_MAX: usize = 8;
/// Known ids that a HELLO lists one by one; above it a Bloom filter.
pub const HELLO_KNOWN_MAX: usize = 200;
/// Largest Bloom filter in a HELLO.
pub const HELLO_BLOOM_LEN_MAX: usize = 640;
/// Most hash functions of a Bloom filter.
pub const BLOOM_HASHES_MAX: u8 = 16;

/// Interfaces used at once.
pub const INTERFACES_MAX: usize = 16;
/// Datagrams taken from one socket in one turn of the loop.
pub const SOCKET_BUDGET: usize = 64;

/// Signature checks of records that were asked for: what a page of SYNC brings.
pub const SYNC_VERIFY_RATE: u32 = 2000;
/// The same at once: a whole roster.
pub const SYNC_VERIFY_BURST: u32 = 4096;
/// New identities per source and minute.
pub const NEW_IDENTITIES_PER_MINUTE: u32 = 20;
/// Peers heard directly and not confirmed.
pub const UNCONFIRMED_DIRECT_MAX: usize = 256;
/// Peers that others told of and that are not confirmed.
pub const UNCONFIRMED_RELAYED_MAX: usize = 2048;
/// Peers in all.
pub const PEERS_MAX: usize = 4096;
/// Addresses remembered of one peer, candidates included.
pub const PEER_ADDRESSES_MAX: usize = 8;
/// Peers remembered of one network.
pub const NEIGHBORS_MAX: usize = 64;
/// Networks of which peers are remembered.
pub const NEIGHBOR_NETWORKS_MAX: usize = 64;
/// Peers remembered of a network that are asked whether they are there.
pub const NEIGHBORS_ASKED_MAX: usize = 32;
/// Unicast HELLOs to remembered peers.
pub const NEIGHBOR_HELLO_RATE: u32 = 20;
/// Days after which a remembered peer that was not heard is forgotten.
pub const NEIGHBOR_DAYS_MAX: u64 = 90;
/// Members reached by no group path that get each entry, and the GOODBYE, by unicast.
pub const UNREACHED_MAX: usize = 64;
/// Messages of authors never met.
pub const STRANGER_MESSAGE_RATE: u32 = 1;
/// Authors in a room.
pub const ROOM_AUTHORS_MAX: usize = 1024;
/// Epochs of one author of which a room knows where they stand.
pub const AUTHOR_EPOCHS_MAX: usize = 8;
/// Epochs of one author in a room that the store keeps something of; the oldest makes way.
pub const STORED_EPOCHS_MAX: usize = 128;
/// Lines that say what a room is about which are remembered, in case the last are taken back.
pub const TOPIC_ROWS_MAX: usize = 16;
/// Entries asked for in one NACK.
pub const NACK_RUNS_MAX: usize = 16;
/// Bytes out to an unvalidated address, as a multiple of the bytes in.
pub const AMPLIFICATION_MAX: u64 = 3;
/// SUSPECTs of others a second that a node acts on; four times as many at once.
pub const ACCUSATION_RATE: u32 = 10;
/// Accusers and targets remembered.
pub const ACCUSATIONS_MAX: usize = 1024;
/// ALIVEs to the group a second; four times as many to accusers.
pub const ALIVE_RATE: u32 = 10;
/// PROBEs a second on behalf of all others.
pub const RELAY_RATE: u32 = 50;
/// PROBE REQUESTs a second that one peer gets served.
pub const RELAY_REQUESTER_RATE: u32 = 10;
/// PROBE REQUESTs that wait for an answer.
pub const RELAYS_MAX: usize = 256;
/// PROBEs to candidate addresses.
pub const CANDIDATE_PROBE_RATE: u32 = 200;
/// Of these, kept for the first PROBE to an address.
pub const CANDIDATE_FIRST_RATE: u32 = 100;
/// PROBEs to addresses that only others told of.
pub const HINT_PROBE_RATE: u32 = 20;
/// Messages waiting to be sent by one person.
pub const SEND_QUEUE_MAX: usize = 1000;
/// Messages to one peer that wait for it.
pub const OUTBOX_MESSAGES_MAX: usize = 1000;
/// Bytes to one peer that wait for it.
pub const OUTBOX_BYTES_MAX: usize = 10 * 1000 * 1000;
/// Entries of a room kept in memory to answer NACKs; older ones come from the store.
pub const ROOM_CACHE_ENTRIES: usize = 1024;
/// Incoming QUIC handshakes under way at once.
pub const QUIC_INCOMING_MAX: usize = 64;
/// Incoming QUIC handshakes under way at once from one IP address.
pub const QUIC_INCOMING_PER_SOURCE_MAX: usize = 16;
/// Incoming QUIC handshakes under way above which a stranger gets a Retry first.
pub const QUIC_RETRY_ABOVE: usize = 8;
/// QUIC connections up at once; above it the one longest without use is closed.
pub const QUIC_CONNECTIONS_MAX: usize = 256;
/// Messages of one connection that are handed up and not yet acknowledged; above it nothing
/// more is read from it.
pub const QUIC_IN_HAND_MAX: usize = 32;
/// Streams that a peer may have open at once on one connection, beside that of its messages.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 2;
/// Streams that a peer may open on one connection, one after the other; twice as many at once.
pub const STREAM_OPEN_RATE: u32 = 10;
/// Longest payload of a frame on such a stream.
pub const STREAM_FRAME_LEN_MAX: usize = 64 * 1024;
/// Bytes of frames of one stream that are handed up and not dealt with; above it nothing more is
/// read from it.
pub const STREAM_IN_HAND_MAX: usize = 128 * 1024;
/// Bytes that wait to be written on one stream.
pub const STREAM_UNWRITTEN_MAX: usize = 256 * 1024;
/// Runs of numbers that one WANT of a history sync names.
pub const SYNC_RUNS_MAX: usize = 64;
/// Entries that one WANT asks for.
pub const SYNC_WANT_MAX: u32 = 512;
/// Entries of a room that a newcomer gets first.
pub const SYNC_FIRST_ENTRIES: u32 = 200;
/// Exchanges in which a node helps at once; one with each peer.
pub const SYNC_HELPED_MAX: usize = 4;
/// Exchanges for which a node asks at once.
pub const SYNC_ASKED_MAX: usize = 4;
/// Bytes of entries that a node helps with, all exchanges together.
pub const SYNC_BYTES_RATE: u32 = 2 * 1024 * 1024;
/// Signature checks of entries that were asked for in exchanges.
pub const SYNC_ENTRY_VERIFY_RATE: u32 = 2000;
/// Entries that are taken in one exchange.
pub const SYNC_ENTRIES_MAX: u32 = 65_536;
/// Logs that the other side of an exchange may tell of.
pub const SYNC_LOGS_MAX: usize = 8192;
/// Longest line of JSON that a front end takes.
pub const JSON_LINE_LEN_MAX: usize = 256 * 1024;
