//! One call, asked of a store and written down.

use super::after::pruned;
use super::record::{Call, Record, Said, clock};
use super::spec::as_stored;
use claims::domain::{Answer, ClaimId, Command, Expire, Expiry};
use claims::store::{ClaimStore, Reaped, Reaper, StoreError};
use claims::testing::TestDatabase;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Asks, and gives up after `patience`. None if it is certain that nothing was tried.
pub(crate) async fn ask(store: &ClaimStore, call: Call, patience: Duration) -> Option<Record> {
    let invoked = clock();
    let said = tokio::time::timeout(patience, say(store, &call)).await;
    let answered = clock();
    let said = match said {
        // The call is dropped where it is: in the queue, or on its way.
        Err(_) => None,
        Ok(Ok(said)) => Some((answered, said)),
        Ok(Err(StoreError::Unavailable | StoreError::TimedOut)) => None,
        Ok(Err(StoreError::Overloaded)) => return None,
        Ok(Err(StoreError::Refused(refusal))) => {
            let said = match &call {
                Call::Decide(_) => Said::Decided(Err(refusal)),
                Call::Beat(_) => Said::Beat(Err(refusal)),
                Call::Write(..) | Call::Prune(..) => Said::Write(Err(refusal)),
            };
            Some((answered, said))
        }
        Ok(Err(StoreError::Internal)) => Some((answered, Said::Failed)),
    };
    Some(Record { call, invoked, said })
}

async fn say(store: &ClaimStore, call: &Call) -> Result<Said, StoreError> {
    Ok(match call.clone() {
        Call::Decide(Command::Mint(mint)) => {
            Said::Decided(Ok(as_stored(Answer::Minted(store.mint(mint).await?))))
        }
        Call::Decide(Command::Done(done)) => {
            Said::Decided(Ok(as_stored(Answer::Ended(store.done(done).await?))))
        }
        Call::Decide(Command::Revoke(revoke)) => {
            Said::Decided(Ok(as_stored(Answer::Ended(store.revoke(revoke).await?))))
        }
        Call::Decide(Command::Signal(signal)) => {
            Said::Decided(Ok(Answer::Signaled(store.signal(signal).await?)))
        }
        Call::Decide(Command::Expire(_)) | Call::Prune(..) => unreachable!("asked of a reaper"),
        Call::Beat(beat) => Said::Beat(Ok(store.heartbeat(beat).await?)),
        Call::Write(tenant, stream, token) => {
            Said::Write(Ok(store.authorize(tenant, stream, token).await?))
        }
    })
}

/// One pass of a reaper over the claims that `wanted` says are of this round.
pub(crate) async fn reap(
    reaper: &mut Reaper,
    reap_grace: Duration,
    wanted: impl Fn(&ClaimId) -> bool,
) -> Vec<(ClaimId, Record)> {
    let Ok(scan) = reaper.scan(reap_grace).await else {
        return vec![];
    };
    let due: Vec<_> =
        scan.candidates.into_iter().map(|found| found.id).filter(|id| wanted(id)).collect();
    if due.is_empty() {
        return vec![];
    }
    let invoked = clock();
    let reaped = reaper.expire(&due, reap_grace).await;
    let answered = clock();
    let answer = |place: usize| {
        let Ok(reaped) = &reaped else {
            return Some(None);
        };
        let expiry = match &reaped[place] {
            Reaped::Expired { due_at, expired_at } => {
                Expiry::Expired { due_at: *due_at, expired_at: *expired_at }
            }
            Reaped::NotDue => Expiry::NotDue,
            Reaped::AlreadyEnded => Expiry::AlreadyEnded,
            Reaped::Locked | Reaped::NotTried => return None,
            Reaped::Failed => return Some(Some((answered, Said::Failed))),
        };
        Some(Some((answered, Said::Decided(Ok(Answer::Expiry(expiry))))))
    };
    let records = due.iter().enumerate().filter_map(|(place, id)| {
        let said = answer(place)?;
        let call = Call::Decide(Command::Expire(Expire { id: id.clone(), reap_grace }));
        Some((id.clone(), Record { call, invoked, said }))
    });
    records.collect()
}

/// One step of pruning; what it removed, told apart by `family_of`.
pub(crate) async fn prune<F: Ord>(
    reaper: &mut Reaper,
    db: &TestDatabase,
    retention: Duration,
    family_of: impl Fn(&ClaimId) -> Option<F>,
) -> BTreeMap<F, Record> {
    let invoked = clock();
    reaper.prune_step(retention).await.expect("nobody disturbs the reaper");
    let answered = clock();
    let mut families: BTreeMap<F, BTreeSet<ClaimId>> = BTreeMap::new();
    for id in pruned(db).await {
        if let Some(family) = family_of(&id) {
            families.entry(family).or_default().insert(id);
        }
    }
    let record = |ids: BTreeSet<ClaimId>| Record {
        said: Some((answered, Said::Pruned(ids.len()))),
        call: Call::Prune(ids, retention),
        invoked,
    };
    families.into_iter().map(|(family, ids)| (family, record(ids))).collect()
}
