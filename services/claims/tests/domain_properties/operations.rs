//! What may happen in a play. Names are numbers into small tables, so that they meet often.

use claims::domain::EntitySignal;
use proptest::prelude::*;
use proptest::sample::Index;
use std::time::Duration;

/// How a play begins.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    pub(crate) outage_grace: Duration,
    /// No liveness record and no server to write one.
    pub(crate) servers_down: bool,
}

/// A mint; each number is a place in a table of names, 0 mostly the empty one.
#[derive(Clone, Debug)]
pub(crate) struct MintOf {
    pub(crate) tenant: usize,
    pub(crate) entity: usize,
    pub(crate) stream: usize,
    pub(crate) consumer: usize,
    pub(crate) epoch: EpochOf,
    pub(crate) authority: usize,
    pub(crate) runner: usize,
    pub(crate) request: usize,
    pub(crate) lease_ttl: Option<u64>,
    pub(crate) max_duration: Option<u64>,
    pub(crate) supersede: bool,
}

/// Where a mint's epoch comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum EpochOf {
    /// Issued by the service.
    Issued,
    /// This number.
    Given(i64),
    /// So much above the mark of the entity and authority.
    AboveMark(i64),
}

/// Which claim a call names.
#[derive(Clone, Debug)]
pub(crate) enum Pick {
    /// A live one, if there is any.
    Live(Index),
    /// Any that ever was, pruned ones included.
    Any(Index),
    /// None that ever was.
    Unknown,
}

/// Which token a call carries.
#[derive(Clone, Debug)]
pub(crate) enum TokenOf {
    None,
    /// The claim's own.
    Right,
    /// Any that was handed out.
    Any(Index),
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Mint(MintOf),
    /// An earlier mint, word for word.
    Resend(Index),
    Heartbeat {
        claim: Pick,
        token: TokenOf,
        ttl: Option<u64>,
    },
    Done {
        claim: Pick,
        token: TokenOf,
        failed: bool,
        acks: usize,
    },
    Revoke(Pick),
    Signal {
        tenant: usize,
        entity: usize,
        signal: EntitySignal,
    },
    Expire {
        claim: Pick,
        reap_grace: u64,
    },
    /// A write with any token ever handed out, to any stream.
    Write {
        token: Index,
        entity: usize,
        stream: usize,
    },
    Forward(Duration),
    Back(Duration),
    ServersDown,
    ServersUp,
    /// Retention removes terminal claims (T1).
    Prune(Index),
}

pub(crate) fn opening() -> impl Strategy<Value = Opening> {
    let outage_grace = prop_oneof![3 => Just(30), 1 => Just(0)].prop_map(Duration::from_secs);
    (outage_grace, proptest::bool::weighted(0.1))
        .prop_map(|(outage_grace, servers_down)| Opening { outage_grace, servers_down })
}

pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        16 => mint().prop_map(Operation::Mint),
        4 => any::<Index>().prop_map(Operation::Resend),
        8 => (pick(), token(), ttl())
            .prop_map(|(claim, token, ttl)| Operation::Heartbeat { claim, token, ttl }),
        6 => (pick(), token(), any::<bool>(), 0..3_usize).prop_map(
            |(claim, token, failed, acks)| Operation::Done { claim, token, failed, acks },
        ),
        1 => pick().prop_map(Operation::Revoke),
        3 => (tenant(), 0..2_usize, signal())
            .prop_map(|(tenant, entity, signal)| Operation::Signal { tenant, entity, signal }),
        7 => (pick(), prop_oneof![Just(0_u64), Just(5), Just(60)])
            .prop_map(|(claim, reap_grace)| Operation::Expire { claim, reap_grace }),
        2 => (any::<Index>(), 0..2_usize, 0..2_usize)
            .prop_map(|(token, entity, stream)| Operation::Write { token, entity, stream }),
        14 => forward().prop_map(Operation::Forward),
        1 => back().prop_map(Operation::Back),
        1 => Just(Operation::ServersDown),
        2 => Just(Operation::ServersUp),
        1 => any::<Index>().prop_map(Operation::Prune),
    ]
}

fn mint() -> impl Strategy<Value = MintOf> {
    let epoch = prop_oneof![
        5 => Just(EpochOf::Issued),
        3 => (1..=4_i64).prop_map(EpochOf::Given),
        5 => (0..=2_i64).prop_map(EpochOf::AboveMark),
    ];
    let place = (tenant(), 0..2_usize, prop_oneof![9 => Just(0_usize), 1 => Just(1)]);
    let names = (0..3_usize, 0..3_usize, 0..3_usize, 0..3_usize);
    let lengths =
        (ttl(), proptest::option::weighted(0.3, prop_oneof![Just(12_u64), Just(60), Just(3_600)]));
    (place, names, epoch, lengths, proptest::bool::weighted(0.15)).prop_map(
        |(place, names, epoch, lengths, supersede)| {
            let (tenant, entity, stream) = place;
            let (consumer, authority, runner, request) = names;
            let (lease_ttl, max_duration) = lengths;
            MintOf {
                tenant,
                entity,
                stream,
                consumer,
                epoch,
                // Without an epoch the authority is empty (M3).
                authority: match epoch {
                    EpochOf::Issued => 0,
                    _ => authority,
                },
                runner,
                request,
                // M6: no lease beyond the ceiling.
                lease_ttl: lease_ttl.map(|ttl| ttl.min(max_duration.unwrap_or(ttl))),
                max_duration,
                supersede,
            }
        },
    )
}

/// Mostly one tenant; the other shows what must not leak into it.
fn tenant() -> impl Strategy<Value = usize> {
    prop_oneof![6 => Just(0_usize), 1 => Just(1)]
}

fn ttl() -> impl Strategy<Value = Option<u64>> {
    proptest::option::of(prop_oneof![Just(1_u64), Just(10), Just(30), Just(600)])
}

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![
        12 => any::<Index>().prop_map(Pick::Live),
        4 => any::<Index>().prop_map(Pick::Any),
        1 => Just(Pick::Unknown),
    ]
}

fn token() -> impl Strategy<Value = TokenOf> {
    prop_oneof![
        2 => Just(TokenOf::None),
        5 => Just(TokenOf::Right),
        1 => any::<Index>().prop_map(TokenOf::Any),
    ]
}

fn signal() -> impl Strategy<Value = EntitySignal> {
    prop_oneof![
        4 => Just(EntitySignal::Stop),
        5 => Just(EntitySignal::Cont),
        1 => Just(EntitySignal::Term),
        1 => Just(EntitySignal::Kill),
    ]
}

/// Nothing, the shortest time, whole leases (which meet their ends exactly), and hours.
fn forward() -> impl Strategy<Value = Duration> {
    prop_oneof![
        1 => Just(Duration::ZERO),
        1 => Just(Duration::from_micros(1)),
        6 => (1..=12_u64).prop_map(Duration::from_secs),
        3 => prop_oneof![Just(29_u64), Just(30), Just(35)].prop_map(Duration::from_secs),
        1 => (1..=7_200_000_u64).prop_map(Duration::from_millis),
    ]
}

fn back() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (1..=5_000_u64).prop_map(Duration::from_millis),
        (5..=7_200_u64).prop_map(Duration::from_secs),
    ]
}
