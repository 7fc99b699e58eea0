//! What a client asks next, at random.

use super::load::Random;
use super::record::Call;
use super::slots::Slot;
use claims::domain::{
    ClaimId, Command, Done, DoneOutcome, EntityKey, EntitySignal, Heartbeat, LeaseTtl, Mint,
    Signal, StreamPath, TenantId, Text, TokenDigest, WakeId,
};
use claims::testing::{claim_id, done, fresh_token, heartbeat, mint, revoke, signal};
use std::time::Duration;

/// Consumers of a family.
const CONSUMERS: u64 = 4;

pub(crate) fn choose(slot: &Slot, random: &mut Random) -> Call {
    let known = {
        let book = slot.book();
        // Mostly the newest claim, sometimes one of those before it.
        let back = if random.one_in(4) { random.place(book.known.len() + 1) } else { 0 };
        book.known.iter().rev().nth(back).cloned()
    };
    let (id, stream, token) = known.unwrap_or_else(|| nobody(slot));
    let supplied = match random.below(8) {
        0..4 => None,
        7 => Some(fresh_token().digest()),
        _ => Some(token),
    };
    match random.below(100) {
        0..34 => Call::Decide(Command::Mint(new_mint(slot, random))),
        34..40 => Call::Decide(Command::Mint(again(slot, random))),
        40..62 => Call::Beat(any_heartbeat(&id, supplied, random)),
        62..75 => Call::Write(slot.tenant.clone(), stream, token),
        75 => Call::Write(stranger(slot), stream, token),
        76..78 => {
            let stream = stream_of(slot.entity(random), random.one_in(2));
            Call::Write(slot.tenant.clone(), stream, fresh_token().digest())
        }
        78..84 => Call::Decide(Command::Signal(any_signal(slot, random))),
        84..97 if !slot.is_quiet() || random.one_in(10) => {
            Call::Decide(Command::Done(any_done(&id, supplied, random)))
        }
        97..100 if !slot.is_quiet() => Call::Decide(Command::Revoke(revoke(&id, ""))),
        _ => Call::Write(slot.tenant.clone(), stream, token),
    }
}

/// A claim that is not there.
fn nobody(slot: &Slot) -> (ClaimId, StreamPath, TokenDigest) {
    let id = claim_id(&format!("c9@{}", slot.name), 1);
    let id = ClaimId { tenant: slot.tenant.clone(), ..id };
    (id, stream_of(&slot.entities[0], false), fresh_token().digest())
}

/// A tenant that has nothing to do with the family.
fn stranger(slot: &Slot) -> TenantId {
    let other = if slot.tenant.as_str() == "other" { "default" } else { "other" };
    TenantId::parse(other).expect("a tenant")
}

/// One that asks for a lease of its own length says nothing of its work: of heartbeats that are renewed
/// as one the longest and the last count, and an order of calls has one of them first.
fn any_heartbeat(id: &ClaimId, token: Option<TokenDigest>, random: &mut Random) -> Heartbeat {
    let mut beat = Heartbeat { token, ..heartbeat(id) };
    match random.below(12) {
        0 => beat.ttl = LeaseTtl::parse(Duration::from_secs(1)).ok(),
        1 => beat.ttl = LeaseTtl::parse(Duration::from_secs(2)).ok(),
        2..5 => {
            let progress = format!("{} %", random.below(100));
            beat.progress = Text::parse("progress", &progress).ok();
        }
        _ => {}
    }
    beat
}

fn any_done(id: &ClaimId, token: Option<TokenDigest>, random: &mut Random) -> Done {
    let mut asked = Done { token, ..done(id) };
    if random.one_in(4) {
        asked.outcome = DoneOutcome::Failed;
        asked.error_message = Text::parse("error_message", "broken").expect("a message");
    }
    if random.one_in(3) {
        asked.acked_streams.clear();
    }
    asked
}

/// Mostly pauses that end; an entity that is called about no more may be ended.
fn any_signal(slot: &Slot, random: &mut Random) -> Signal {
    let is_old = slot.is_old();
    let given = match random.below(10) {
        0..3 => EntitySignal::Stop,
        3 if is_old => EntitySignal::Term,
        4 if is_old => EntitySignal::Kill,
        _ => EntitySignal::Cont,
    };
    let entity = slot.entity(random).clone();
    Signal { entity, ..signal("/any", given) }
}

fn stream_of(entity: &EntityKey, log: bool) -> StreamPath {
    let name = if log { "log" } else { "main" };
    StreamPath::parse(&format!("{}/{name}", entity.url)).expect("a stream")
}

fn new_mint(slot: &Slot, random: &mut Random) -> Mint {
    let entity = slot.entity(random);
    let consumer = format!("c{}@{}", random.below(CONSUMERS), slot.name);
    let mut asked = mint(entity.url.as_str(), &consumer).tenant(slot.tenant.as_str());
    match random.below(6) {
        // An authority counts up; sometimes it says an old number, or skips some.
        0..3 if !slot.is_quiet() || random.one_in(8) => {
            let mut book = slot.book();
            book.epoch += i64::try_from(random.below(3)).expect("a step");
            let epoch = book.epoch.max(1);
            drop(book);
            asked = asked.epoch(if random.one_in(3) { "s2" } else { "s1" }, epoch);
        }
        3 if !slot.is_quiet() => asked = asked.supersede(),
        _ => {}
    }
    // Few, so that several claims of a consumer carry one.
    if random.one_in(2) {
        asked = asked.request(&format!("q{}", random.below(2)));
    }
    if random.one_in(3) {
        asked = asked.runner(&format!("r{}", random.below(2)));
    }
    asked = match random.below(6) {
        0..4 => asked.lengths(Some(1), None),
        4 => asked.lengths(Some(1), Some(1 + random.below(2))),
        _ => asked.lengths(None, None),
    };
    asked.mint.stream = stream_of(entity, random.one_in(6));
    asked.mint.wake_id = WakeId::parse("wake").expect("a wake");
    asked.mint
}

/// An earlier mint, as a caller repeats it whose answer was lost: with a fresh token. Sometimes of
/// another entity, which has the consumer too.
fn again(slot: &Slot, random: &mut Random) -> Mint {
    let earlier = {
        let book = slot.book();
        let back = random.place(book.mints.len().clamp(1, 4));
        book.mints.iter().rev().nth(back).cloned()
    };
    let Some(earlier) = earlier else {
        return new_mint(slot, random);
    };
    let mut mint = Mint {
        token_digest: fresh_token().digest(),
        asked_ttl: LeaseTtl::parse(Duration::from_secs(1)).ok(),
        ..earlier
    };
    if random.one_in(3) {
        let entity = slot.entity(random);
        mint.entity = entity.url.clone();
        mint.stream = stream_of(entity, false);
    }
    mint
}
