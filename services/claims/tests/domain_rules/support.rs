//! A stage on which one test plays: one world, one clock, and calls that check the invariants.

use claims::domain::authorize::{Writer, authorize};
use claims::domain::heartbeat::heartbeat;
use claims::domain::invariants::{Step, check_authorization, check_step, check_world};
use claims::domain::{
    Answer, Authority, Authorization, Claim, ClaimId, ClaimState, Command, ConsumerId, Decision,
    Done, DoneOutcome, Ended, Entity, EntityKey, EntitySignal, EntityState, EntityUrl, Epoch,
    Event, EventType, Expire, Expiry, Heartbeat, LeaseTtl, Liveness, Mint, Minted, Refusal,
    Renewal, RequestId, Revoke, RunnerId, Signal, Signaled, StreamPath, TenantId, Text, Timestamp,
    TokenDigest, WakeId, World, decide,
};
use std::time::Duration;

/// When the clock of a stage begins.
pub(crate) const START: Timestamp = Timestamp::from_unix_micros(1_800_000_000_000_000);
/// The shortest time there is.
pub(crate) const MICRO: Duration = Duration::from_micros(1);
/// The reap grace of the stage.
pub(crate) const REAP_GRACE: Duration = secs(5);
/// The outage grace of the stage.
pub(crate) const OUTAGE_GRACE: Duration = secs(30);
/// The entity of a call that names none.
pub(crate) const ENTITY: &str = "/chat/a";
/// Its default stream.
pub(crate) const STREAM: &str = "/chat/a/main";

pub(crate) const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(crate) fn consumer(name: &str) -> ConsumerId {
    ConsumerId::parse(name).expect("a consumer")
}

pub(crate) fn authority(name: &str) -> Authority {
    Authority::parse(name).expect("an authority")
}

pub(crate) fn epoch(number: i64) -> Epoch {
    Epoch::parse(number).expect("an epoch")
}

pub(crate) fn ttl(count: u64) -> LeaseTtl {
    LeaseTtl::parse(secs(count)).expect("a length of lease")
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).expect("a tenant")
}

pub(crate) fn url(path: &str) -> EntityUrl {
    EntityUrl::parse(path).expect("an entity URL")
}

pub(crate) fn stream(path: &str) -> StreamPath {
    StreamPath::parse(path).expect("a stream path")
}

/// An entity of the default tenant.
pub(crate) fn key(path: &str) -> EntityKey {
    EntityKey { tenant: tenant("default"), url: url(path) }
}

/// A claim of the default tenant.
pub(crate) fn id(name: &str, number: i64) -> ClaimId {
    ClaimId { tenant: tenant("default"), consumer: consumer(name), epoch: epoch(number) }
}

/// What a caller asks of mint; everything not said is empty.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    tenant: String,
    entity: String,
    stream: String,
    consumer: String,
    epoch: Option<i64>,
    authority: String,
    runner: String,
    request: String,
    lease_ttl: Option<Duration>,
    max_duration: Option<Duration>,
    supersede: bool,
}

/// A mint of [`ENTITY`] by that consumer.
pub(crate) fn ask(consumer: &str) -> Ask {
    Ask {
        tenant: "default".to_owned(),
        entity: ENTITY.to_owned(),
        stream: String::new(),
        consumer: consumer.to_owned(),
        epoch: None,
        authority: String::new(),
        runner: String::new(),
        request: String::new(),
        lease_ttl: None,
        max_duration: None,
        supersede: false,
    }
}

impl Ask {
    pub(crate) fn of_tenant(self, name: &str) -> Self {
        Self { tenant: name.to_owned(), ..self }
    }

    pub(crate) fn of(self, entity: &str) -> Self {
        Self { entity: entity.to_owned(), ..self }
    }

    pub(crate) fn to(self, stream: &str) -> Self {
        Self { stream: stream.to_owned(), ..self }
    }

    pub(crate) fn epoch(self, number: i64) -> Self {
        Self { epoch: Some(number), ..self }
    }

    pub(crate) fn authority(self, name: &str) -> Self {
        Self { authority: name.to_owned(), ..self }
    }

    pub(crate) fn runner(self, name: &str) -> Self {
        Self { runner: name.to_owned(), ..self }
    }

    pub(crate) fn request(self, name: &str) -> Self {
        Self { request: name.to_owned(), ..self }
    }

    pub(crate) fn ttl(self, length: Duration) -> Self {
        Self { lease_ttl: Some(length), ..self }
    }

    pub(crate) fn ceiling(self, length: Duration) -> Self {
        Self { max_duration: Some(length), ..self }
    }

    pub(crate) fn supersede(self) -> Self {
        Self { supersede: true, ..self }
    }

    fn mint(&self, token_digest: TokenDigest) -> Mint {
        let entity = url(&self.entity);
        let (ttl, max_duration) =
            LeaseTtl::of_claim(self.lease_ttl, self.max_duration).expect("lengths within M6");
        Mint {
            tenant: tenant(&self.tenant),
            stream: StreamPath::of_entity(&entity, &self.stream).expect("a stream"),
            entity,
            consumer: consumer(&self.consumer),
            epoch: self.epoch.map(epoch),
            authority: authority(&self.authority),
            wake_id: WakeId::parse("").expect("a wake"),
            runner_id: RunnerId::parse(&self.runner).expect("a runner"),
            request_id: RequestId::parse(&self.request).expect("a request"),
            asked_ttl: self
                .lease_ttl
                .map(|length| LeaseTtl::parse(length).expect("a length of lease")),
            ttl,
            max_duration,
            supersede: self.supersede,
            token_digest,
        }
    }
}

/// A done with nothing but the identity.
pub(crate) fn done_of(claim: &Claim) -> Done {
    Done {
        id: claim.id.clone(),
        token: None,
        acked_streams: vec![],
        outcome: DoneOutcome::Completed,
        error_message: Text::default(),
    }
}

/// A done that says what went wrong.
pub(crate) fn failed(claim: &Claim, message: &str) -> Done {
    Done {
        outcome: DoneOutcome::Failed,
        error_message: Text::parse("error_message", message).expect("a message"),
        ..done_of(claim)
    }
}

/// A heartbeat with nothing but the identity.
pub(crate) fn beat_of(claim: &Claim) -> Heartbeat {
    Heartbeat { id: claim.id.clone(), token: None, ttl: None, progress: None }
}

/// One world and its clock. Servers sign the liveness record as long as nobody says otherwise.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) now: Timestamp,
    /// Every event, in order.
    pub(crate) events: Vec<Event>,
    tokens: u64,
}

impl Stage {
    /// An empty world whose servers have been up for a day.
    pub(crate) fn new() -> Self {
        let world = World {
            liveness: Some(Liveness {
                last_signed_at: START,
                resumed_at: START - secs(86_400),
                outage_grace: OUTAGE_GRACE,
            }),
            ..World::default()
        };
        Self { world, now: START, events: vec![], tokens: 0 }
    }

    /// [`ENTITY`] in that state, brought there by calls, with a claim of `w1` if it may have one.
    pub(crate) fn with_entity(state: EntityState, has_claim: bool) -> Self {
        let mut stage = Self::new();
        if has_claim {
            stage.minted(&ask("w1"));
        }
        let signal = match state {
            EntityState::Idle | EntityState::Running => None,
            EntityState::Paused => Some(EntitySignal::Stop),
            EntityState::Stopping | EntityState::Stopped => Some(EntitySignal::Term),
            EntityState::Killed => Some(EntitySignal::Kill),
        };
        if let Some(signal) = signal {
            stage.signal(signal).expect("a signal that applies");
        }
        assert_eq!(stage.entity().state, state);
        stage
    }

    /// A claim of `w1`, first of its authority, brought to that state.
    pub(crate) fn with_claim(state: ClaimState, ask: &Ask) -> (Self, Claim) {
        let mut stage = Self::new();
        let claim = stage.minted(ask);
        match state {
            ClaimState::Active => {}
            ClaimState::Superseded => {
                stage.minted(&self::ask("newer").supersede());
            }
            ClaimState::Released => {
                stage.done(&claim).expect("a done");
            }
            ClaimState::Failed => {
                stage.done_with(failed(&claim, "")).expect("a failed done");
            }
            ClaimState::Expired => {
                stage.wait(secs(3_600));
                stage.expire(&claim);
            }
            ClaimState::Revoked => {
                stage.revoke(&claim, "").expect("a revocation");
            }
        }
        let claim = stage.claim(&claim);
        assert_eq!(claim.state, state);
        (stage, claim)
    }

    /// Time passes; the servers are up.
    pub(crate) fn wait(&mut self, length: Duration) {
        self.now = self.now + length;
        if let Some(liveness) = &mut self.world.liveness {
            liveness.last_signed_at = self.now;
        }
    }

    /// Time passes; no server signs.
    pub(crate) fn silence(&mut self, length: Duration) {
        self.now = self.now + length;
    }

    /// A server signs after a silence of more than 5 s.
    pub(crate) fn resume(&mut self) {
        let now = self.now;
        if let Some(liveness) = &mut self.world.liveness {
            liveness.last_signed_at = now;
            liveness.resumed_at = now;
        }
    }

    /// The servers' setting for outages.
    pub(crate) fn set_outage_grace(&mut self, length: Duration) {
        if let Some(liveness) = &mut self.world.liveness {
            liveness.outage_grace = length;
        }
    }

    /// Decides, checks the invariants, and moves the world on.
    pub(crate) fn decide(&mut self, command: &Command) -> Result<Decision, Refusal> {
        let before = self.world.clone();
        let outcome = decide(&before, command, self.now);
        if let Ok(decision) = &outcome {
            self.world.apply(&decision.changes);
            self.events.extend(decision.events.iter().cloned());
        }
        self.check(&before, Step::Decided(command, outcome.as_ref()));
        outcome
    }

    fn check(&self, before: &World, step: Step<'_>) {
        if let Err(violation) = check_world(&self.world) {
            panic!("{violation}");
        }
        if let Err(violation) = check_step(before, &self.world, step, self.now) {
            panic!("{violation}");
        }
    }

    pub(crate) fn mint(&mut self, ask: &Ask) -> Result<Minted, Refusal> {
        let mint = ask.mint(self.fresh_token());
        match self.decide(&Command::Mint(mint))?.answer {
            Answer::Minted(minted) => Ok(minted),
            other => panic!("a mint was answered by {other:?}"),
        }
    }

    /// A mint that must be accepted.
    pub(crate) fn minted(&mut self, ask: &Ask) -> Claim {
        self.mint(ask).expect("an accepted mint").claim
    }

    /// A mint that must be refused.
    pub(crate) fn refused(&mut self, ask: &Ask) -> Refusal {
        self.mint(ask).expect_err("a refused mint")
    }

    fn fresh_token(&mut self) -> TokenDigest {
        self.tokens += 1;
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.tokens.to_be_bytes());
        TokenDigest::from_bytes(bytes)
    }

    pub(crate) fn beat(&mut self, claim: &Claim) -> Result<Renewal, Refusal> {
        self.beat_with(&beat_of(claim))
    }

    pub(crate) fn beat_with(&mut self, beat: &Heartbeat) -> Result<Renewal, Refusal> {
        let before = self.world.clone();
        let outcome = heartbeat(before.claims.get(&beat.id), beat, self.now);
        let outcome = outcome.map(|(claim, renewal)| {
            self.world.claims.insert(claim.id.clone(), claim);
            renewal
        });
        self.check(&before, Step::Heartbeat(beat, outcome.as_ref()));
        outcome
    }

    pub(crate) fn done(&mut self, claim: &Claim) -> Result<Ended, Refusal> {
        self.done_with(done_of(claim))
    }

    pub(crate) fn done_with(&mut self, done: Done) -> Result<Ended, Refusal> {
        self.ended(&Command::Done(done))
    }

    pub(crate) fn revoke(&mut self, claim: &Claim, reason: &str) -> Result<Ended, Refusal> {
        self.ended(&Command::Revoke(Revoke {
            id: claim.id.clone(),
            reason: Text::parse("reason", reason).expect("a reason"),
            actor: "olga".into(),
        }))
    }

    fn ended(&mut self, command: &Command) -> Result<Ended, Refusal> {
        match self.decide(command)?.answer {
            Answer::Ended(ended) => Ok(ended),
            other => panic!("{command:?} was answered by {other:?}"),
        }
    }

    pub(crate) fn signal(&mut self, signal: EntitySignal) -> Result<Signaled, Refusal> {
        self.signal_to(ENTITY, signal, "")
    }

    pub(crate) fn signal_to(
        &mut self,
        entity: &str,
        signal: EntitySignal,
        reason: &str,
    ) -> Result<Signaled, Refusal> {
        let command = Command::Signal(Signal {
            entity: key(entity),
            signal,
            reason: Text::parse("reason", reason).expect("a reason"),
            actor: "olga".into(),
        });
        match self.decide(&command)?.answer {
            Answer::Signaled(signaled) => Ok(signaled),
            other => panic!("a signal was answered by {other:?}"),
        }
    }

    /// The reaper looks at a claim that is kept.
    pub(crate) fn expire(&mut self, claim: &Claim) -> Expiry {
        self.expire_after(&claim.id, REAP_GRACE).expect("a kept claim")
    }

    pub(crate) fn expire_after(
        &mut self,
        id: &ClaimId,
        reap_grace: Duration,
    ) -> Result<Expiry, Refusal> {
        let command = Command::Expire(Expire { id: id.clone(), reap_grace });
        match self.decide(&command)?.answer {
            Answer::Expiry(expiry) => Ok(expiry),
            other => panic!("an expire was answered by {other:?}"),
        }
    }

    /// A write to a stream of the default tenant with the token of that claim as it was minted.
    pub(crate) fn write(&self, path: &str, token: &TokenDigest) -> Result<Authorization, Refusal> {
        let stream = stream(path);
        let entity = EntityKey { tenant: tenant("default"), url: stream.entity() };
        let current = self.world.current_claim(&entity);
        let writer = Writer::of(&self.world.entity(&entity), current);
        let outcome = authorize(writer.as_ref(), &stream, token, self.now);
        let checked = check_authorization(
            &self.world,
            &entity.tenant,
            &stream,
            token,
            outcome.as_ref(),
            self.now,
        );
        if let Err(violation) = checked {
            panic!("{violation}");
        }
        outcome
    }

    /// A write by the holder to its own stream.
    pub(crate) fn write_by(&self, claim: &Claim) -> Result<Authorization, Refusal> {
        self.write(claim.stream.as_str(), &claim.token_digest)
    }

    /// The claim as it stands now.
    pub(crate) fn claim(&self, claim: &Claim) -> Claim {
        self.world.claims[&claim.id].clone()
    }

    /// [`ENTITY`] as it stands now.
    pub(crate) fn entity(&self) -> Entity {
        self.world.entity(&key(ENTITY))
    }

    /// Types, reasons and actors of the events since the one of that number.
    pub(crate) fn told_since(&self, count: usize) -> Vec<(EventType, &str, &str)> {
        self.events[count..]
            .iter()
            .map(|event| (event.event_type, event.reason.as_str(), &*event.actor))
            .collect()
    }
}
