//! Heartbeats that wait together, one for each claim.

use super::{Ask, Calls};
use crate::domain::heartbeat::PROGRESS_BYTES_MAX;
use crate::domain::{ClaimId, Heartbeat, LeaseTtl, Text, TokenDigest};
use std::collections::BTreeMap;

/// Heartbeats of one claim with one token, as one.
pub(super) struct Merged {
    pub(super) id: ClaimId,
    pub(super) token: Option<TokenDigest>,
    /// The longest lease asked for.
    pub(super) ttl: Option<LeaseTtl>,
    /// The claim's own length was asked for; the longer of the two counts.
    pub(super) own_ttl: bool,
    /// The last progress that was told.
    pub(super) progress: Option<Text<PROGRESS_BYTES_MAX>>,
}

/// One heartbeat, and everybody who waits for its answer.
pub(super) struct Group {
    pub(super) merged: Merged,
    pub(super) calls: Calls,
}

impl Merged {
    pub(super) fn of(heartbeat: &Heartbeat) -> Self {
        Self {
            id: heartbeat.id.clone(),
            token: heartbeat.token,
            ttl: heartbeat.ttl,
            own_ttl: heartbeat.ttl.is_none(),
            progress: heartbeat.progress.clone(),
        }
    }

    /// Takes another heartbeat in, if it carries the same token.
    fn takes(&mut self, other: &Heartbeat) -> bool {
        if self.token != other.token {
            return false;
        }
        self.own_ttl |= other.ttl.is_none();
        self.ttl = self.ttl.max(other.ttl);
        if other.progress.is_some() {
            self.progress.clone_from(&other.progress);
        }
        true
    }
}

/// One group for each claim, in key order; what does not fit into its claim's group is left over.
pub(super) fn group(calls: Calls) -> (Vec<Group>, Calls) {
    let mut groups: BTreeMap<ClaimId, Group> = BTreeMap::new();
    let mut rest = Vec::new();
    for call in calls {
        let Ask::Heartbeat(heartbeat) = &call.ask else {
            continue;
        };
        if let Some(group) = groups.get_mut(&heartbeat.id) {
            if group.merged.takes(heartbeat) {
                group.calls.push(call);
            } else {
                rest.push(call);
            }
        } else {
            let merged = Merged::of(heartbeat);
            groups.insert(merged.id.clone(), Group { merged, calls: vec![call] });
        }
    }
    (groups.into_values().collect(), rest)
}
