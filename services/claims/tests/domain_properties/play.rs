//! Carries a play out: asks the domain, checks what came of it, and tells the history.

mod calls;
mod names;

use super::history::{Checked, History};
use super::operations::{Opening, Operation};
use claims::domain::invariants::{Violation, check_world};
use claims::domain::{
    ClaimId, Command, Done, DoneOutcome, EntityState, Expiry, Heartbeat, Liveness, Mint, Revoke,
    Signal, StreamPath, TenantId, Text, Timestamp, TokenDigest, World, decide,
};
use names::{ack, key_of, length, stream_of};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const START: Timestamp = Timestamp::from_unix_micros(1_800_000_000_000_000);
const REAP_GRACE: Duration = Duration::from_secs(5);
const STALE_AFTER: Duration = Duration::from_secs(5);

/// One play.
pub(crate) struct Play {
    world: World,
    now: Timestamp,
    outage_grace: Duration,
    servers_up: bool,
    history: History,
    /// Accepted mints, to be sent again.
    mints: Vec<Mint>,
    /// Every token ever handed out, where it was good, and whose it was.
    tokens: Vec<(TenantId, StreamPath, ClaimId, TokenDigest)>,
    /// The latest token of each claim.
    token_of: BTreeMap<ClaimId, TokenDigest>,
    tokens_made: u64,
    /// Names of the outcomes that this play met.
    pub(crate) met: BTreeSet<String>,
}

fn held(violation: Result<(), Violation>) -> Checked {
    violation.map_err(|violation| TestCaseError::fail(violation.to_string()))
}

impl Play {
    pub(crate) fn begin(opening: &Opening) -> Self {
        let mut play = Self {
            world: World::default(),
            now: START,
            outage_grace: opening.outage_grace,
            servers_up: !opening.servers_down,
            history: History::default(),
            mints: vec![],
            tokens: vec![],
            token_of: BTreeMap::new(),
            tokens_made: 0,
            met: BTreeSet::new(),
        };
        if play.servers_up {
            play.sign();
        }
        play
    }

    /// Does one thing and checks everything after it.
    pub(crate) fn perform(&mut self, operation: &Operation) -> Checked {
        match operation {
            Operation::Mint(of) => {
                let mint = self.mint_of(of);
                self.mint(mint)?;
            }
            Operation::Resend(index) => self.resend(index)?,
            Operation::Heartbeat { claim, token, ttl } => {
                let id = self.pick(claim);
                let beat = Heartbeat {
                    token: self.token(&id, token),
                    id,
                    ttl: ttl.map(length),
                    progress: None,
                };
                self.heartbeat(&beat)?;
            }
            Operation::Done { claim, token, failed, acks } => {
                let id = self.pick(claim);
                let done = Done {
                    token: self.token(&id, token),
                    id,
                    acked_streams: (0..*acks).map(ack).collect(),
                    outcome: if *failed { DoneOutcome::Failed } else { DoneOutcome::Completed },
                    error_message: Text::default(),
                };
                self.done(done)?;
            }
            Operation::Revoke(claim) => {
                let command = Command::Revoke(Revoke {
                    id: self.pick(claim),
                    reason: Text::default(),
                    actor: "olga".into(),
                });
                self.command(&command, "revoke")?.ok();
            }
            Operation::Signal { tenant, entity, signal } => {
                let command = Command::Signal(Signal {
                    entity: key_of(*tenant, *entity),
                    signal: *signal,
                    reason: Text::default(),
                    actor: "olga".into(),
                });
                if let Ok(decision) = self.command(&command, "signal")?
                    && decision.events.is_empty()
                {
                    self.met("signal held already");
                }
            }
            Operation::Expire { claim, reap_grace } => {
                let id = self.pick(claim);
                self.expire(&id, Duration::from_secs(*reap_grace))?;
            }
            Operation::Write { token, entity, stream } => {
                if !self.tokens.is_empty() {
                    let (tenant, _, _, token) = token.get(&self.tokens).clone();
                    self.write(&tenant, &stream_of(*entity, *stream), &token)?;
                }
            }
            Operation::Forward(length) => self.forward(*length),
            Operation::Back(length) => {
                self.now = self.now - *length;
                if self.servers_up {
                    self.sign();
                }
            }
            Operation::ServersDown => self.servers_up = false,
            Operation::ServersUp => {
                self.servers_up = true;
                self.sign();
            }
            Operation::Prune(index) => self.prune(index),
        }
        held(check_world(&self.world))?;
        self.write_with_every_token()?;
        self.probe_progress()
    }

    /// Whatever was reached, nothing is left for ever: with servers up and time, the reaper ends
    /// every live claim, and each entity that is not paused or ended takes a mint.
    pub(crate) fn finish(&mut self) -> Checked {
        let leases = self.world.claims.values().map(|row| row.lease.expires_at);
        // After steps back of the clock, a lease or the last outage's end may lie ahead.
        let resumed_at = self.world.liveness.map(|liveness| liveness.resumed_at);
        let furthest = leases.chain(resumed_at).max();
        self.now = self.now.max(furthest.unwrap_or(self.now));
        self.servers_up = true;
        self.sign();
        self.forward(self.outage_grace + REAP_GRACE);
        for id in self.history.identities() {
            if self.world.claims.contains_key(&id) {
                let expiry = self.expire(&id, REAP_GRACE)?;
                prop_assert_ne!(expiry, Some(Expiry::NotDue), "{} is never reaped", id);
            }
        }
        let alive = |id: &ClaimId| self.history.is_live(id);
        prop_assert!(!self.history.identities().iter().any(alive));
        held(check_world(&self.world))?;
        for (key, entity) in &self.world.entities {
            prop_assert!(entity.current.is_none());
            prop_assert_ne!(entity.state, EntityState::Running);
            prop_assert_ne!(entity.state, EntityState::Stopping);
            if entity.state == EntityState::Idle {
                let mint = self.newcomer(key);
                prop_assert!(decide(&self.world, &Command::Mint(mint), self.now).is_ok());
            }
        }
        Ok(())
    }

    // What is checked after everything

    /// I5: of all tokens ever handed out, those work that may, and no other.
    fn write_with_every_token(&mut self) -> Checked {
        for (tenant, stream, _, token) in self.tokens.clone() {
            self.write(&tenant, &stream, &token)?;
        }
        Ok(())
    }

    /// A newcomer that insists on nothing is accepted iff nobody keeps it out.
    fn probe_progress(&mut self) -> Checked {
        for (tenant, entity) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let key = key_of(tenant, entity);
            let state = self.world.entity(&key).state;
            let held = self.history.is_held(&key, self.world.liveness, self.now);
            let claimable = matches!(state, EntityState::Idle | EntityState::Running);
            let mint = Command::Mint(self.newcomer(&key));
            let outcome = decide(&self.world, &mint, self.now);
            let expected = claimable && held != Some(true);
            prop_assert_eq!(outcome.is_ok(), expected, "{:?}: {:?}", key, outcome);
            if held == Some(true) && self.history.has_lapsed(&key, self.now) {
                self.met("lapsed but protected by an outage");
            }
        }
        Ok(())
    }

    // Time and servers

    fn forward(&mut self, length: Duration) {
        self.now = self.now + length;
        if let (true, Some(liveness)) = (self.servers_up, &mut self.world.liveness) {
            // Signed every two seconds on the way, so there was no hole.
            liveness.last_signed_at = self.now;
        }
    }

    /// R6: a signature that finds a hole, or a step of the clock, also sets *resumed*.
    fn sign(&mut self) {
        let now = self.now;
        let resumed_at = match self.world.liveness {
            Some(last)
                if now.since(last.last_signed_at) <= STALE_AFTER
                    && last.last_signed_at.since(now) <= STALE_AFTER =>
            {
                last.resumed_at
            }
            _ => now,
        };
        self.world.liveness =
            Some(Liveness { last_signed_at: now, resumed_at, outage_grace: self.outage_grace });
    }

    /// Retention takes terminal claims, up to a number.
    fn prune(&mut self, index: &prop::sample::Index) {
        let claims = self.world.claims.values();
        let ended: Vec<ClaimId> =
            claims.filter(|claim| !claim.state.is_live()).map(|claim| claim.id.clone()).collect();
        for id in ended.iter().take(index.index(ended.len() + 1)) {
            self.world.claims.remove(id);
        }
    }

    fn met(&mut self, outcome: &str) {
        if !self.met.contains(outcome) {
            self.met.insert(outcome.to_owned());
        }
    }
}
