//! Heartbeats that wait together, one for each claim.

use super::{Ask, Calls};
use crate::domain::{ClaimId, Heartbeat, LeaseTtl, TokenDigest};

/// Heartbeats of one claim with one token, as one.
pub(super) struct Merged<'c> {
    pub(super) id: &'c ClaimId,
    pub(super) token: Option<&'c TokenDigest>,
    /// The longest lease asked for.
    pub(super) ttl: Option<LeaseTtl>,
    /// The claim's own length was asked for; the longer of the two counts.
    pub(super) own_ttl: bool,
    /// The last progress that was told.
    pub(super) progress: Option<&'c str>,
    /// How many they are.
    pub(super) count: usize,
}

impl<'c> Merged<'c> {
    pub(super) fn of(heartbeat: &'c Heartbeat) -> Self {
        Self {
            id: &heartbeat.id,
            token: heartbeat.token.as_ref(),
            ttl: heartbeat.ttl,
            own_ttl: heartbeat.ttl.is_none(),
            progress: heartbeat.progress.as_ref().map(|text| text.as_str()),
            count: 1,
        }
    }

    /// Takes in a later heartbeat of the same claim with the same token.
    fn take(&mut self, later: &'c Heartbeat) {
        self.own_ttl |= later.ttl.is_none();
        self.ttl = self.ttl.max(later.ttl);
        self.progress = later.progress.as_ref().map(|text| text.as_str()).or(self.progress);
        self.count += 1;
    }
}

/// What each claim is asked for, in the order of `beats`, which [`first_tokens`] made.
pub(super) fn merged(beats: &Calls) -> Vec<Merged<'_>> {
    let mut all: Vec<Merged<'_>> = Vec::with_capacity(beats.len());
    for beat in beats.iter().filter_map(|call| call.ask.heartbeat()) {
        match all.last_mut() {
            Some(last) if *last.id == beat.id => last.take(beat),
            _ => all.push(Merged::of(beat)),
        }
    }
    all
}

/// Parts heartbeats into those whose claims come with one token each, in key order and for each claim
/// in order of arrival, and the others, whose turn is later.
pub(super) fn first_tokens(mut beats: Calls) -> (Calls, Calls) {
    beats.sort_by(|one, other| id(&one.ask).cmp(&id(&other.ask)));
    let (mut first, mut later) = (Calls::with_capacity(beats.len()), Calls::new());
    for beat in beats {
        let other_token = |last: &Ask| id(last) == id(&beat.ask) && token(last) != token(&beat.ask);
        if first.last().is_some_and(|last| other_token(&last.ask)) {
            later.push(beat);
        } else {
            first.push(beat);
        }
    }
    (first, later)
}

fn id(ask: &Ask) -> Option<&ClaimId> {
    ask.heartbeat().map(|heartbeat| &heartbeat.id)
}

fn token(ask: &Ask) -> Option<&TokenDigest> {
    ask.heartbeat().and_then(|heartbeat| heartbeat.token.as_ref())
}
