//! A history as it is shown to whoever has to find out what went wrong.

use super::check::{Node, Refuted};
use super::record::{After, Call, History, Record, Said};
use claims::domain::{Answer, Command};
use std::fmt::Write;

/// The refusal of a history: the last calls that have their place, the rows then, and what does not fit.
pub(crate) fn refuted(history: &History, refuted: &Refuted) -> String {
    const LAST: usize = 12;
    let Refuted { order, stuck, world, because, differences } = refuted;
    let mut text = String::new();
    let calls = history.records.len();
    let (name, placed) = (history.name(), order.len());
    line(&mut text, format_args!("{name}, {calls} calls: {because}; {placed} have their place"));
    for (place, at) in order.iter().skip(order.len().saturating_sub(LAST)) {
        let call = call(&history.records[*place]);
        line(&mut text, format_args!("  at {}: {call}", at.unix_micros()));
    }
    line(&mut text, format_args!("  then the rows are: {:?}", world.entities));
    for claim in world.claims.values().filter(|claim| claim.state.is_live()) {
        line(&mut text, format_args!("  and live: {claim:?}"));
    }
    text.push_str(differences);
    for place in stuck {
        line(&mut text, format_args!("  does not fit: {}", call(&history.records[*place])));
    }
    for record in history.records.iter().filter(|record| record.said.is_none()).take(LAST) {
        line(&mut text, format_args!("  perhaps: {}", call(record)));
    }
    let written = &history.written;
    if calls <= LAST {
        line(&mut text, format_args!("  renewals were written at {:?}", written.renewals));
        line(&mut text, format_args!("  decisions were written at {:?}", written.decisions));
    }
    text
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    writeln!(text, "{words}").expect("a string takes everything");
}

/// Where the rows and events are others than those of the order.
pub(crate) fn differences(after: &After, node: &Node) -> String {
    let (mut text, world) = (String::new(), &node.world);
    for (key, entity) in &after.world.entities {
        let written = world.entity(key);
        if written != *entity {
            line(&mut text, format_args!("  decide writes {written:?}, stored is {entity:?}"));
        }
    }
    for (id, claim) in &after.world.claims {
        let written = world.claims.get(id);
        if written != Some(claim) {
            line(&mut text, format_args!("  decide writes {written:?}, stored is {claim:?}"));
        }
    }
    for id in world.claims.keys().filter(|id| !after.world.claims.contains_key(id)) {
        line(&mut text, format_args!("  decide writes {id}, which is not stored"));
    }
    if world.marks != after.world.marks {
        let (written, stored) = (&world.marks, &after.world.marks);
        line(&mut text, format_args!("  decide writes {written:?}, stored is {stored:?}"));
    }
    for (url, reached) in &node.reached {
        if let Some(next) = after.events.get(url).and_then(|events| events.get(reached.events)) {
            line(&mut text, format_args!("  the next event of {url} is {next:?}"));
        }
    }
    text
}

/// A script, one call to a line.
pub(crate) fn calls(calls: &[Call]) -> String {
    let mut text = String::new();
    for call in calls {
        line(&mut text, format_args!("  {}", asked(call)));
    }
    text
}

fn asked(call: &Call) -> String {
    match call {
        Call::Decide(Command::Mint(mint)) => format!(
            "mint by {} epoch {:?} of {:?}, request {:?}, runner {:?}, supersede {}",
            mint.consumer,
            mint.epoch.map(claims::domain::Epoch::get),
            mint.authority.as_str(),
            mint.request_id.as_str(),
            mint.runner_id.as_str(),
            mint.supersede
        ),
        Call::Decide(Command::Done(done)) => format!("done {} {:?}", done.id, done.outcome),
        Call::Decide(Command::Revoke(revoke)) => format!("revoke {}", revoke.id),
        Call::Decide(Command::Signal(signal)) => format!("signal {}", signal.signal.as_str()),
        Call::Decide(Command::Expire(expire)) => format!("expire {}", expire.id),
        Call::Beat(beat) => {
            format!("heartbeat {} for {:?}, saying {:?}", beat.id, beat.ttl, beat.progress)
        }
        Call::Prune(ids, _) => format!("prune {ids:?}"),
        Call::Write(_, stream, _) => format!("write to {stream}"),
    }
}

fn call(record: &Record) -> String {
    let asked = asked(&record.call);
    let from = record.invoked.unix_micros();
    match &record.said {
        Some((answered, said)) => {
            format!("{asked} [{from}, {}]: {}", answered.unix_micros(), answer(said))
        }
        None => format!("{asked} [{from}, …]: no answer"),
    }
}

fn answer(said: &Said) -> String {
    match said {
        Said::Decided(Ok(Answer::Minted(minted))) => {
            let (id, fence) = (&minted.claim.id, minted.claim.fence);
            let before = minted.ended_predecessor.as_ref().map(|old| (&old.id, old.state));
            format!("{id} fence {} reminted {} before {before:?}", fence.get(), minted.reminted)
        }
        Said::Decided(Ok(Answer::Ended(ended))) => {
            let (already, state) = (ended.already_ended, ended.entity_state);
            format!("already {already}, entity {state:?}, {:?}", ended.claim)
        }
        Said::Decided(Ok(Answer::Signaled(signaled))) => {
            format!("{:?} changed {}", signaled.entity.state, signaled.changed)
        }
        Said::Decided(other) => format!("{other:?}"),
        Said::Beat(other) => format!("{other:?}"),
        Said::Write(other) => format!("{other:?}"),
        Said::Pruned(count) => format!("{count} pruned"),
        Said::Failed => "an internal failure".to_owned(),
    }
}
