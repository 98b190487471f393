//! Known bugs that can be switched on under the feature `sim`, to see that the simulator finds them.
//!
//! A simulator whose faults are weak passes everything. So the core has some forty places where it
//! can be told to be wrong; without the feature [`is_sabotaged`] is the constant `false` and each
//! of these places is compiled away.

/// A bug, by what the core then does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sabotage {
    /// Tells nobody how far the own log goes: no HEADS, none in heartbeats, HELLO and WELCOME.
    NoHeads,
    /// Marks sequence numbers as seen before the signature is checked.
    DedupBeforeVerify,
    /// Acknowledges an entry while it is on its way to the disk.
    AckBeforePersist,
    /// Sends an own entry while it is on its way to the disk.
    TransmitBeforePersist,
    /// Uses the number of the last own entry again after a restart.
    NumberTwice,
    /// Takes records of somebody who said GOODBYE.
    TombstoneIgnored,
    /// Uses an address that nobody validated.
    AddressUnvalidated,
    /// Takes packets that were taken before.
    ReplayTaken,
    /// Does not advance the hybrid logical clock by what others said.
    HlcStands,
    /// Never gives anybody up.
    OfflineNever,
    /// Gives a peer up after the first PROBE that is not answered.
    OfflineAtOnce,
    /// Takes a GOODBYE of a past run for one of this run.
    GoodbyeOfAnyRun,
    /// Sends any number of bytes to an address that nobody validated.
    AmplificationUnbounded,
    /// Passes over missing lines without a word.
    GapSilent,
    /// Shows a private message again that the store had already.
    PrivateTwice,
    /// Acknowledges a private message while it is on its way to the disk.
    PrivateAckEarly,
    /// Takes entries without a check of their signature.
    EntryUnverified,
    /// Leaves the incarnation and the record's number out of the roster digest.
    DigestWithoutRun,
    /// Takes records that others pass on without a check of their signature.
    RelayedUnverified,
    /// Uses the address that others gave for somebody as if it were validated.
    HintTrusted,
    /// Sends to whatever address others give, on the link or not.
    HintAnywhere,
    /// Answers a SYNC REQUEST whose sender did not prove its address.
    SyncUnproven,
    /// Takes what others pass on of somebody for a sign of life.
    RelayedIsHeard,
    /// Goes on listing whoever is known from others only.
    HearsayKept,
    /// Gives up whomever anybody suspects.
    SuspectRemoves,
    /// Does not take an ALIVE for a sign of life.
    AliveIgnored,
    /// Believes a PROBE REPORT that it did not ask for.
    ReportUnasked,
    /// Goes on after a stop as if no time had passed it by.
    LateIgnored,
    /// Asks for nobody after a sleep.
    WakeIgnored,
    /// Gives up whoever an ICMP error says is gone.
    RefusalIsProof,
    /// Trusts its own judgement however it fares itself.
    HealthIgnored,
    /// Serves what belongs to one network on any other.
    NetworkIgnored,
    /// Goes on with a log that contradicts itself.
    ForkIgnored,
    /// Begins a log anew under the epoch of the last one.
    EpochReused,
    /// Names no line that an own one has to stand behind where the clocks would have it otherwise.
    DepMissing,
    /// Puts every line where it arrives.
    OrderByArrival,
    /// Believes what is left of a line though its author did not take it back.
    StubBelieved,
    /// Takes entries of an exchange of histories without a check of their signature.
    SyncUnverified,
    /// Gives the history of a locked room to whoever asks.
    SyncWithoutProof,
    /// Does not look whether a line follows the one before it.
    PrevUnchecked,
    /// Asks for what is not kept any more, and takes it again.
    FloorIgnored,
}

impl Sabotage {
    /// Every one, by the name that `simulate --sabotage` takes.
    pub const ALL: [(&'static str, Sabotage); 41] = [
        ("no-heads", Sabotage::NoHeads),
        ("dedup-before-verify", Sabotage::DedupBeforeVerify),
        ("ack-before-persist", Sabotage::AckBeforePersist),
        ("transmit-before-persist", Sabotage::TransmitBeforePersist),
        ("number-twice", Sabotage::NumberTwice),
        ("tombstone-ignored", Sabotage::TombstoneIgnored),
        ("address-unvalidated", Sabotage::AddressUnvalidated),
        ("replay-taken", Sabotage::ReplayTaken),
        ("hlc-stands", Sabotage::HlcStands),
        ("offline-never", Sabotage::OfflineNever),
        ("offline-at-once", Sabotage::OfflineAtOnce),
        ("goodbye-of-any-run", Sabotage::GoodbyeOfAnyRun),
        ("amplification-unbounded", Sabotage::AmplificationUnbounded),
        ("gap-silent", Sabotage::GapSilent),
        ("private-twice", Sabotage::PrivateTwice),
        ("private-ack-early", Sabotage::PrivateAckEarly),
        ("entry-unverified", Sabotage::EntryUnverified),
        ("digest-without-run", Sabotage::DigestWithoutRun),
        ("relayed-unverified", Sabotage::RelayedUnverified),
        ("hint-trusted", Sabotage::HintTrusted),
        ("hint-anywhere", Sabotage::HintAnywhere),
        ("sync-unproven", Sabotage::SyncUnproven),
        ("relayed-is-heard", Sabotage::RelayedIsHeard),
        ("hearsay-kept", Sabotage::HearsayKept),
        ("suspect-removes-at-once", Sabotage::SuspectRemoves),
        ("alive-ignored", Sabotage::AliveIgnored),
        ("report-unasked", Sabotage::ReportUnasked),
        ("late-ignored", Sabotage::LateIgnored),
        ("wake-ignored", Sabotage::WakeIgnored),
        ("refusal-is-proof", Sabotage::RefusalIsProof),
        ("health-ignored", Sabotage::HealthIgnored),
        ("network-ignored", Sabotage::NetworkIgnored),
        ("fork-ignored", Sabotage::ForkIgnored),
        ("epoch-reused", Sabotage::EpochReused),
        ("dep-missing", Sabotage::DepMissing),
        ("order-by-arrival", Sabotage::OrderByArrival),
        ("stub-believed", Sabotage::StubBelieved),
        ("sync-unverified", Sabotage::SyncUnverified),
        ("sync-without-proof", Sabotage::SyncWithoutProof),
        ("prev-unchecked", Sabotage::PrevUnchecked),
        ("floor-ignored", Sabotage::FloorIgnored),
    ];

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Sabotage> {
        let found = Sabotage::ALL.iter().find(|(of, _)| *of == name);
        found.map(|(_, sabotage)| *sabotage)
    }
}

/// Whether the core is to have this bug: never, but in a simulation that asks for it.
#[cfg(not(feature = "sim"))]
#[inline(always)]
pub(crate) const fn is_sabotaged(_: Sabotage) -> bool {
    false
}

#[cfg(feature = "sim")]
thread_local! {
    static CHOSEN: std::cell::Cell<Option<Sabotage>> = const { std::cell::Cell::new(None) };
}

/// Whether the core is to have this bug, on this thread.
#[cfg(feature = "sim")]
pub(crate) fn is_sabotaged(sabotage: Sabotage) -> bool {
    CHOSEN.get() == Some(sabotage)
}

/// Gives every endpoint on this thread this bug, or takes it away.
#[cfg(feature = "sim")]
pub fn set(sabotage: Option<Sabotage>) {
    CHOSEN.set(sabotage);
}
