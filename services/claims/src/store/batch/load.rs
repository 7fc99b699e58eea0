//! The first two round trips of a batch: lock and read what its decisions depend on.

use super::{Held, Loaded, before_commit, pipelined};
use crate::domain::{Authority, ConsumerId, TenantId};
use crate::domain::{
    ClaimId, Command, Entity, EntityKey, EntitySignal, Epoch, Liveness, NumberFloor, World,
};
use crate::store::error::TransactionError;
use crate::store::rows::{self, ClaimRow, EntityRow, LeaseRow, Time};
use crate::store::statement::{Patient, Statement};
use crate::store::statements::{
    LockClaims, LockEntities, LockEntitiesOfClaims, LockLeases, ReadClaims, ReadClock,
    ReadConsumerEpochs, ReadMarks, ReadRequestedClaims, SupersededClaims,
};
use crate::store::trace;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use std::collections::{BTreeMap, BTreeSet};

/// What the commands of a batch name.
struct Named<'c> {
    /// Entities named as such, by mints and signals.
    entities: BTreeSet<EntityKey>,
    /// Claims named by their holders, operators and the reaper.
    claims: BTreeSet<&'c ClaimId>,
    /// Identities that mints give.
    given: BTreeSet<ClaimId>,
    /// Request ids that mints without an epoch give: tenant, consumer, entity, request id.
    requests: BTreeSet<(&'c str, &'c str, &'c str, &'c str)>,
    /// Entity and authority of each mint.
    marks: BTreeSet<(EntityKey, Authority)>,
    /// Consumers that are to be issued an epoch.
    consumers: BTreeSet<(&'c str, &'c str)>,
    /// Entities that are to be killed.
    killed: BTreeSet<EntityKey>,
}

impl<'c> Named<'c> {
    fn by(commands: &[&'c Command]) -> Self {
        let mut named = Self {
            entities: BTreeSet::new(),
            claims: BTreeSet::new(),
            given: BTreeSet::new(),
            requests: BTreeSet::new(),
            marks: BTreeSet::new(),
            consumers: BTreeSet::new(),
            killed: BTreeSet::new(),
        };
        for command in commands {
            named.add(command);
        }
        named
    }

    fn add(&mut self, command: &'c Command) {
        match command {
            Command::Mint(mint) => {
                let (tenant, consumer) = (mint.tenant.as_str(), mint.consumer.as_str());
                self.entities.insert(mint.entity_key());
                self.marks.insert((mint.entity_key(), mint.authority.clone()));
                if let Some(id) = mint.given_id() {
                    self.given.insert(id);
                } else {
                    self.consumers.insert((tenant, consumer));
                    if !mint.request_id.is_empty() {
                        let (entity, request) = (mint.entity.as_str(), mint.request_id.as_str());
                        self.requests.insert((tenant, consumer, entity, request));
                    }
                }
            }
            Command::Signal(signal) => {
                self.entities.insert(signal.entity.clone());
                if signal.signal == EntitySignal::Kill {
                    self.killed.insert(signal.entity.clone());
                }
            }
            Command::Done(done) => {
                self.claims.insert(&done.id);
            }
            Command::Revoke(revoke) => {
                self.claims.insert(&revoke.id);
            }
            Command::Expire(expire) => {
                self.claims.insert(&expire.id);
            }
        }
    }
}

/// Keys as the parallel arrays of a statement.
pub(crate) fn id_arrays<'i>(
    ids: impl IntoIterator<Item = &'i ClaimId>,
) -> (Vec<&'i str>, Vec<&'i str>, Vec<i64>) {
    let (mut tenants, mut consumers, mut epochs) = (vec![], vec![], vec![]);
    for id in ids {
        tenants.push(id.tenant.as_str());
        consumers.push(id.consumer.as_str());
        epochs.push(id.epoch.get());
    }
    (tenants, consumers, epochs)
}

fn key_arrays<'k>(keys: impl IntoIterator<Item = &'k EntityKey>) -> (Vec<&'k str>, Vec<&'k str>) {
    keys.into_iter().map(|key| (key.tenant.as_str(), key.url.as_str())).unzip()
}

/// Begins the transaction, locks and reads.
pub(super) async fn load(
    connection: &AsyncPgConnection,
    commands: &[&Command],
    held: Held,
) -> Result<Loaded, TransactionError> {
    let named = Named::by(commands);
    let Entities { rows, missing, resolved } = lock_entities(connection, &named, held).await?;

    let mut world = World::default();
    let mut locked = BTreeSet::new();
    for row in rows {
        let (key, entity) = row.into_domain()?;
        locked.insert(key.clone());
        world.entities.insert(key, entity);
    }
    // Nobody can lock a row that is not there; whoever makes it first has its decision stand.
    let mut unmade = BTreeSet::new();
    unmade.extend(missing.into_iter().filter(|key| !locked.contains(key)));
    locked.extend(unmade.iter().cloned());

    // The claims that may change: the current ones, those that commands name, and, for a KILL,
    // the superseded ones. All of them belong to entities that are locked.
    let mut owned: BTreeSet<ClaimId> = BTreeSet::new();
    let mut out_of_reach: BTreeSet<ClaimId> = BTreeSet::new();
    for (key, entity) in &world.entities {
        owned.extend(entity.current_id(&key.tenant));
    }
    for (tenant, consumer, epoch, url) in &resolved {
        let id = rows::claim_id(tenant, consumer, *epoch)?;
        if locked.contains(&rows::entity_key(tenant, url)?) {
            owned.insert(id);
        } else {
            out_of_reach.insert(id);
        }
    }
    let killed: Vec<&EntityKey> = named.killed.intersection(&locked).collect();
    if !killed.is_empty() {
        let (tenants, urls) = key_arrays(killed);
        let statement = SupersededClaims { tenants, urls, ..Default::default() };
        let found: Vec<(String, String, i64)> =
            pipelined(trace::statement(SupersededClaims::FILE, statement.load(&mut &*connection)))
                .await?
                .map_err(before_commit)?;
        for (tenant, consumer, epoch) in &found {
            owned.insert(rows::claim_id(tenant, consumer, *epoch)?);
        }
    }
    let mut loaded = read_world(connection, &named, world, locked, owned).await?;
    for key in &unmade {
        let unseen = Entity::unseen(loaded.world.floor);
        loaded.world.entities.insert(key.clone(), unseen);
    }
    Ok(Loaded { out_of_reach, unmade, ..loaded })
}

/// What the first round trip finds.
struct Entities {
    /// Those that it has locked.
    rows: Vec<EntityRow>,
    /// Those named as such that are not there.
    missing: Vec<EntityKey>,
    /// Claims that are there: tenant, consumer, epoch, entity.
    resolved: Vec<(String, String, i64, String)>,
}

/// The first round trip.
async fn lock_entities(
    connection: &AsyncPgConnection,
    named: &Named<'_>,
    held: Held,
) -> Result<Entities, TransactionError> {
    let mut c = connection;
    let begin = trace::statement("BEGIN", c.batch_execute("BEGIN"));
    let by_name = async {
        if named.entities.is_empty() {
            return Ok(vec![]);
        }
        let (tenants, urls) = key_arrays(&named.entities);
        let statement = LockEntities { tenants, urls, ..Default::default() };
        match held {
            Held::Skip => {
                trace::statement(LockEntities::FILE, statement.load::<NamedRow>(&mut &*connection))
                    .await
            }
            Held::Wait => {
                trace::statement(LockEntities::FILE, Patient(statement).load(&mut &*connection))
                    .await
            }
        }
    };
    let by_claim = async {
        if named.claims.is_empty() {
            return Ok(vec![]);
        }
        let (tenants, consumers, epochs) = id_arrays(named.claims.iter().copied());
        let statement = LockEntitiesOfClaims { tenants, consumers, epochs, ..Default::default() };
        match held {
            Held::Skip => {
                trace::statement(
                    LockEntitiesOfClaims::FILE,
                    statement.load::<ClaimedRow>(&mut &*connection),
                )
                .await
            }
            Held::Wait => {
                trace::statement(
                    LockEntitiesOfClaims::FILE,
                    Patient(statement).load(&mut &*connection),
                )
                .await
            }
        }
    };
    let (begun, by_name, by_claim) =
        pipelined(async { tokio::join!(biased; begin, by_name, by_claim) }).await?;
    begun.map_err(before_commit)?;

    let (mut locked, mut missing, mut resolved) = (vec![], vec![], vec![]);
    for (tenant, url, is_there, row) in by_name.map_err(before_commit)? {
        locked.extend(row);
        if !is_there {
            missing.push(rows::entity_key(&tenant, &url)?);
        }
    }
    for (tenant, consumer, epoch, url, row) in by_claim.map_err(before_commit)? {
        locked.extend(row);
        resolved.push((tenant, consumer, epoch, url));
    }
    Ok(Entities { rows: locked, missing, resolved })
}

/// An entity named as such: its key, whether it is there, and its row if it could be locked.
type NamedRow = (String, String, bool, Option<EntityRow>);
/// A claim, its entity's URL, and that one's row if it could be locked.
type ClaimedRow = (String, String, i64, String, Option<EntityRow>);

/// The database time, the three columns of the liveness record, and the number floor.
pub(crate) type ClockRow = (Time, Option<Time>, Option<Time>, Option<i64>, i64);

/// The second round trip.
async fn read_world(
    connection: &AsyncPgConnection,
    named: &Named<'_>,
    mut world: World,
    locked: BTreeSet<EntityKey>,
    owned: BTreeSet<ClaimId>,
) -> Result<Loaded, TransactionError> {
    let claims = async {
        let (tenants, consumers, epochs) = id_arrays(&owned);
        if tenants.is_empty() {
            return Ok(vec![]);
        }
        let statement = LockClaims { tenants, consumers, epochs, ..Default::default() };
        trace::statement(LockClaims::FILE, statement.load::<ClaimRow>(&mut &*connection)).await
    };
    let leases = async {
        let (tenants, consumers, epochs) = id_arrays(&owned);
        if tenants.is_empty() {
            return Ok(vec![]);
        }
        let statement = LockLeases { tenants, consumers, epochs, ..Default::default() };
        trace::statement(LockLeases::FILE, statement.load::<LeaseRow>(&mut &*connection)).await
    };
    let others = async {
        let (tenants, consumers, epochs) = id_arrays(named.given.difference(&owned));
        if tenants.is_empty() {
            return Ok(vec![]);
        }
        let statement = ReadClaims { tenants, consumers, epochs, ..Default::default() };
        trace::statement(ReadClaims::FILE, statement.load::<ClaimRow>(&mut &*connection)).await
    };
    let requested = async {
        if named.requests.is_empty() {
            return Ok(vec![]);
        }
        let statement = ReadRequestedClaims {
            tenants: named.requests.iter().map(|request| request.0).collect(),
            consumers: named.requests.iter().map(|request| request.1).collect(),
            entities: named.requests.iter().map(|request| request.2).collect(),
            request_ids: named.requests.iter().map(|request| request.3).collect(),
            ..Default::default()
        };
        trace::statement(ReadRequestedClaims::FILE, statement.load::<ClaimRow>(&mut &*connection))
            .await
    };
    let marks = async {
        if named.marks.is_empty() {
            return Ok(vec![]);
        }
        let statement = ReadMarks {
            tenants: named.marks.iter().map(|(key, _)| key.tenant.as_str()).collect(),
            urls: named.marks.iter().map(|(key, _)| key.url.as_str()).collect(),
            authorities: named.marks.iter().map(|(_, authority)| authority.as_str()).collect(),
            ..Default::default()
        };
        trace::statement(
            ReadMarks::FILE,
            statement.load::<(String, String, String, i64)>(&mut &*connection),
        )
        .await
    };
    let consumer_epochs = async {
        if named.consumers.is_empty() {
            return Ok(vec![]);
        }
        let (tenants, consumers) = named.consumers.iter().copied().unzip();
        let statement = ReadConsumerEpochs { tenants, consumers, ..Default::default() };
        trace::statement(
            ReadConsumerEpochs::FILE,
            statement.load::<(String, String, i64)>(&mut &*connection),
        )
        .await
    };
    // Last of all, so that the time is read when all locks are held.
    let clock = ReadClock::default();
    let clock = trace::statement(ReadClock::FILE, clock.get_result::<ClockRow>(&mut &*connection));

    let (claims, leases, others, requested, marks, consumer_epochs, clock) = pipelined(async {
        tokio::join!(biased; claims, leases, others, requested, marks, consumer_epochs, clock)
    })
    .await?;

    let (claims, leases) = (claims.map_err(before_commit)?, leases.map_err(before_commit)?);
    let mut others = others.map_err(before_commit)?;
    others.extend(requested.map_err(before_commit)?);
    fill_claims(&mut world, claims, leases, others)?;
    for (tenant, url, authority, highest) in marks.map_err(before_commit)? {
        let key = (rows::entity_key(&tenant, &url)?, parse(Authority::parse(&authority))?);
        world.marks.insert(key, parse(Epoch::parse(highest))?);
    }
    for (tenant, consumer, epoch) in consumer_epochs.map_err(before_commit)? {
        let key = (parse(TenantId::parse(&tenant))?, parse(ConsumerId::parse(&consumer))?);
        world.consumer_epochs.insert(key, parse(Epoch::parse(epoch))?);
    }
    let (now, signed, resumed, grace, floor) = clock.map_err(before_commit)?;
    world.liveness = liveness(signed, resumed, grace);
    world.floor = parse(NumberFloor::parse(floor))?;
    let (out_of_reach, unmade) = (BTreeSet::new(), BTreeSet::new());
    Ok(Loaded { world, now: now.0, locked, unmade, owned, out_of_reach })
}

fn parse<T>(
    parsed: Result<T, crate::domain::InvalidField>,
) -> Result<T, crate::store::error::Damaged> {
    parsed.map_err(Into::into)
}

/// The liveness record of three columns that are there or not there together.
pub(crate) fn liveness(
    signed: Option<Time>,
    resumed: Option<Time>,
    grace: Option<i64>,
) -> Option<Liveness> {
    Some(Liveness {
        last_signed_at: signed?.0,
        resumed_at: resumed?.0,
        outage_grace: rows::from_millis(grace?),
    })
}

fn fill_claims(
    world: &mut World,
    owned: Vec<ClaimRow>,
    leases: Vec<LeaseRow>,
    others: Vec<ClaimRow>,
) -> Result<(), TransactionError> {
    let mut by_id: BTreeMap<ClaimId, LeaseRow> = BTreeMap::new();
    for lease in leases {
        by_id.insert(lease.id()?, lease);
    }
    for row in owned {
        let id = row.id()?;
        let lease = by_id.remove(&id);
        if lease.is_none() && row.is_live() {
            // Only a hand in the tables can do that (I7). The claim counts as lapsed since it was
            // minted, so that its holder's done or a newer mint can end it.
            tracing::error!(
                tenant = %id.tenant, consumer = %id.consumer, epoch = id.epoch.get(),
                "live claim {id} has no lease row"
            );
        }
        let claim = row.into_domain(lease)?;
        world.claims.insert(claim.id.clone(), claim);
    }
    for row in others {
        // Read for its place and state only; its lease plays no part.
        let claim = row.into_domain(None)?;
        world.claims.entry(claim.id.clone()).or_insert(claim);
    }
    Ok(())
}
