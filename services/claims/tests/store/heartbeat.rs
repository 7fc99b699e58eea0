//! H1 … H7.

use super::support::{assert_ended, claim_on, minted, refusal, scene, secs, ttl};
use claims::domain::{
    ClaimId, ClaimState, Directive, EntitySignal, Heartbeat, Lease, LeaseTtl, Refusal, Text,
    Timestamp,
};
use claims::store::ClaimStore;
use claims::testing::{
    TestDatabase, claim_id, done, fresh_token, heartbeat, kill, mint, revoke, signal,
};
use futures_util::future::join_all;
use std::time::Duration;

/// Rows on which the statement and the domain's own formula are compared.
const RANDOM_ROWS: u64 = 250;

fn for_ttl(id: &ClaimId, seconds: u64) -> Heartbeat {
    Heartbeat { ttl: Some(ttl(seconds)), ..heartbeat(id) }
}

fn saying(id: &ClaimId, progress: &str) -> Heartbeat {
    Heartbeat {
        progress: Some(Text::parse("progress", progress).expect("a text")),
        ..heartbeat(id)
    }
}

async fn lease(store: &ClaimStore, id: &ClaimId) -> Lease {
    store.get_claim(id.clone()).await.expect("a claim").0.lease
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_renews_by_the_claims_own_length_or_by_the_one_it_asks_for() {
    let (db, store) = scene().await;
    let claim = minted(&store, mint("/a", "w1").lengths(Some(20), None)).await.claim;
    let renewal = store.heartbeat(heartbeat(&claim.id)).await.unwrap();
    assert_eq!((renewal.remaining, renewal.ttl), (secs(20), ttl(20)));
    assert_eq!(renewal.directive, Directive::Continue);
    assert!(!renewal.had_lapsed && renewal.ceiling_remaining.is_none());
    let renewal = store.heartbeat(for_ttl(&claim.id, 45)).await.unwrap();
    assert_eq!((renewal.remaining, renewal.ttl), (secs(45), ttl(45)));
    let stored = lease(&store, &claim.id).await;
    assert_eq!(stored.expires_at, renewal.expires_at);
    assert_eq!(stored.ttl, ttl(20), "the claim's own length stays");
    assert!(stored.last_heartbeat_at.is_some());
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_never_makes_a_lease_end_earlier() {
    let (db, store) = scene().await;
    let claim = minted(&store, mint("/a", "w1").lengths(Some(600), None)).await.claim;
    let renewal = store.heartbeat(for_ttl(&claim.id, 1)).await.unwrap();
    assert_eq!(renewal.expires_at, claim.lease.expires_at);
    assert!(renewal.remaining > secs(590));
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_lease_runs_beyond_the_ceiling_and_none_is_renewed_at_it() {
    let (db, store) = scene().await;
    let claim = minted(&store, mint("/a", "w1").lengths(Some(10), Some(60))).await.claim;
    db.age(&claim.id, secs(55)).await;
    let renewal = store.heartbeat(heartbeat(&claim.id)).await.unwrap();
    let ceiling = lease(&store, &claim.id).await.ceiling_at.unwrap();
    assert_eq!(renewal.expires_at, ceiling);
    assert!(renewal.had_lapsed);
    assert_eq!(renewal.ceiling_remaining, Some(renewal.remaining));
    db.age(&claim.id, secs(5)).await;
    let before = db.all_rows().await;
    let refused = store.heartbeat(for_ttl(&claim.id, 600)).await;
    assert_eq!(refusal(refused), Refusal::CeilingReached);
    assert_eq!(db.all_rows().await, before);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lapsed_claim_that_nobody_ended_is_renewed_and_told_so() {
    let (db, store) = scene().await;
    let claim = claim_on(&store, "/a", "w1").await;
    db.lapse(&claim.id, secs(3_600)).await;
    let renewal = store.heartbeat(heartbeat(&claim.id)).await.unwrap();
    assert!(renewal.had_lapsed);
    assert_eq!(renewal.remaining, secs(30));
    assert!(!store.heartbeat(heartbeat(&claim.id)).await.unwrap().had_lapsed);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_active_claim_is_renewed() {
    let (db, store) = scene().await;
    let superseded = claim_on(&store, "/superseded", "w1").await.id;
    minted(&store, mint("/superseded", "w2").epoch("sub", 2)).await;
    let released = claim_on(&store, "/released", "w3").await.id;
    store.done(done(&released)).await.unwrap();
    let revoked = claim_on(&store, "/revoked", "w4").await.id;
    store.revoke(revoke(&revoked, "")).await.unwrap();
    let killed = claim_on(&store, "/killed", "w5").await.id;
    store.signal(kill("/killed")).await.unwrap();
    let expired = claim_on(&store, "/expired", "w6").await.id;
    db.lapse(&expired, secs(1)).await;
    minted(&store, mint("/expired", "w7")).await;
    let before = db.all_rows().await;

    let refused = refusal(store.heartbeat(heartbeat(&superseded)).await);
    assert!(matches!(refused, Refusal::ClaimSuperseded { .. }), "{refused}");
    for (id, state) in [
        (released, ClaimState::Released),
        (revoked, ClaimState::Revoked),
        (killed, ClaimState::Revoked),
        (expired, ClaimState::Expired),
    ] {
        assert_ended(&refusal(store.heartbeat(heartbeat(&id)).await), state);
    }
    let unknown = store.heartbeat(heartbeat(&claim_id("nobody", 1))).await;
    assert_eq!(refusal(unknown), Refusal::ClaimNotFound);
    assert_eq!(db.all_rows().await, before);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_refused_before_anything_else() {
    let (db, store) = scene().await;
    let asked = mint("/a", "w1");
    let token = asked.token.digest();
    let id = minted(&store, asked).await.claim.id;
    let with = |token| Heartbeat { token: Some(token), ..heartbeat(&id) };
    store.heartbeat(with(token)).await.unwrap();
    let wrong = fresh_token().digest();
    let before = db.all_rows().await;
    assert_eq!(refusal(store.heartbeat(with(wrong)).await), Refusal::WriteTokenInvalid);
    assert_eq!(db.all_rows().await, before);
    // The token comes before the state.
    store.done(done(&id)).await.unwrap();
    assert_eq!(refusal(store.heartbeat(with(wrong)).await), Refusal::WriteTokenInvalid);
    assert_ended(&refusal(store.heartbeat(with(token)).await), ClaimState::Released);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_holder_says_is_kept_until_it_says_something_else() {
    let (db, store) = scene().await;
    let id = claim_on(&store, "/a", "w1").await.id;
    store.heartbeat(saying(&id, "half way")).await.unwrap();
    store.heartbeat(heartbeat(&id)).await.unwrap();
    assert_eq!(db.lease_column(&id, "progress").await.as_deref(), Some("half way"));
    store.heartbeat(saying(&id, "")).await.unwrap();
    assert_eq!(db.lease_column(&id, "progress").await.as_deref(), Some(""));
    store.heartbeat(saying(&id, "nearly")).await.unwrap();
    let ended = store.done(done(&id)).await.unwrap().claim;
    assert_eq!(ended.progress.as_deref(), Some("nearly"));
    assert_eq!(store.get_claim(id).await.unwrap().0, ended);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_is_asked_to_stop_while_its_entity_is_paused_or_stopping() {
    let (db, store) = scene().await;
    let id = claim_on(&store, "/a", "w1").await.id;
    for (asked, directive) in [
        (EntitySignal::Stop, Directive::Stop),
        (EntitySignal::Cont, Directive::Continue),
        (EntitySignal::Stop, Directive::Stop),
        (EntitySignal::Term, Directive::Stop),
    ] {
        store.signal(signal("/a", asked)).await.unwrap();
        assert_eq!(store.heartbeat(heartbeat(&id)).await.unwrap().directive, directive);
        db.check_invariants().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_changes_no_row_but_its_lease() {
    let (db, store) = scene().await;
    let id = claim_on(&store, "/a", "w1").await.id;
    claim_on(&store, "/b", "w2").await;
    let mut before = db.all_rows().await;
    let key = "(tenant_id, consumer_id, epoch, lease_ttl_ms, token_digest, superseded, stop)";
    let kept = db.lease_column(&id, key).await;
    store.heartbeat(heartbeat(&id)).await.unwrap();
    let mut after = db.all_rows().await;
    assert_eq!(db.lease_column(&id, key).await, kept);
    let (leases, renewed) =
        (before.remove("claim_leases").unwrap(), after.remove("claim_leases").unwrap());
    assert_eq!(before, after);
    assert_eq!(leases.iter().filter(|lease| renewed.contains(lease)).count(), 1);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_from_before_a_step_of_the_clock_is_cut_by_the_next_heartbeat() {
    let (db, store) = scene().await;
    let id = claim_on(&store, "/a", "w1").await.id;
    let set = "UPDATE claim_leases SET lease_expires_at = clock_timestamp() + interval '1 hour'";
    db.sql.batch_execute(set).await.unwrap();
    let renewal = store.heartbeat(heartbeat(&id)).await.unwrap();
    assert_eq!(renewal.remaining, secs(600));
    let again = store.heartbeat(heartbeat(&id)).await.unwrap();
    assert_eq!(again.expires_at, renewal.expires_at, "and not before its time after that");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_statement_renews_exactly_as_the_domain_would() {
    let (db, store) = scene().await;
    let mut random = Random(0x5eed);
    let ids = join_all((0..RANDOM_ROWS).map(|row| {
        let (url, consumer) = (format!("/e{row}"), format!("w{row}"));
        let seconds = 1 + random.below(600);
        let asked = mint(&url, &consumer).lengths(Some(seconds), None);
        async { minted(&store, asked).await.claim.id }
    }))
    .await;
    for id in &ids {
        scramble(&db, id, &mut random).await;
    }
    let before = join_all(ids.iter().map(|id| lease(&store, id))).await;
    let asked: Vec<Option<LeaseTtl>> = ids
        .iter()
        .map(|_| {
            let millis = 1_000 + random.below(599_001);
            let length = LeaseTtl::parse(Duration::from_millis(millis)).unwrap();
            (random.below(2) == 0).then_some(length)
        })
        .collect();

    // All at once, so that they travel in batches.
    let beats = ids
        .iter()
        .zip(&asked)
        .map(|(id, ttl)| store.heartbeat(Heartbeat { ttl: *ttl, ..heartbeat(id) }));
    let answers = join_all(beats).await;
    let (mut renewed, mut refused) = (0, 0);
    for (((id, ttl), old), answer) in ids.iter().zip(asked).zip(before).zip(answers) {
        match answer {
            Ok(renewal) => {
                let new = lease(&store, id).await;
                let now = new.last_heartbeat_at.unwrap();
                let expected = old.renewed(now, ttl).unwrap();
                assert_eq!(new.expires_at, expected.expires_at, "{old:?} at {now:?} for {ttl:?}");
                assert_eq!((new.heard_at, new.ceiling_at), (now, old.ceiling_at));
                assert_eq!(renewal.expires_at, expected.expires_at);
                assert_eq!(renewal.remaining, expected.expires_at.since(now));
                assert_eq!(renewal.ttl, ttl.unwrap_or(old.ttl));
                assert_eq!(renewal.had_lapsed, old.has_lapsed(now));
                let ceiling = old.ceiling_at.map(|ceiling| ceiling.since(now));
                assert_eq!(renewal.ceiling_remaining, ceiling);
                renewed += 1;
            }
            Err(error) => {
                assert_eq!(refusal::<()>(Err(error)), Refusal::CeilingReached);
                let now = db_now(&db).await;
                assert_eq!(old.renewed(now, ttl), Err(Refusal::CeilingReached));
                assert_eq!(lease(&store, id).await, old);
                refused += 1;
            }
        }
    }
    assert!(renewed > 0 && refused > 0, "both happen: {renewed}, {refused}");
    db.check_invariants().await;
}

/// Gives a lease any expiry and, every other time, any ceiling behind it.
async fn scramble(db: &TestDatabase, id: &ClaimId, random: &mut Random) {
    // From lapsed long ago to further ahead than any lease may be, in microseconds.
    let expires_in = random.below_i64(2_400_000_000) - 600_000_000;
    let behind = [0, random.below_i64(1_200_000_000)];
    let ceiling_in = (random.below(2) == 0)
        .then(|| expires_in + 1_000 + behind[usize::from(random.below(2) == 0)]);
    let set = "UPDATE claim_leases SET
             lease_expires_at = clock_timestamp() + $4::bigint * interval '1 microsecond',
             ceiling_at = clock_timestamp() + $5::bigint * interval '1 microsecond'
         WHERE tenant_id = $1 AND consumer_id = $2 AND epoch = $3";
    let client = &db.sql;
    client.batch_execute("SET session_replication_role = replica").await.expect("a superuser");
    let key = (id.tenant.as_str(), id.consumer.as_str(), id.epoch.get());
    client
        .execute(set, &[&key.0, &key.1, &key.2, &expires_in, &ceiling_in])
        .await
        .expect("a scrambled lease");
    // The claim's row says the same.
    client
        .execute(
            "UPDATE consumer_claims AS c SET ceiling_at = l.ceiling_at,
                 claimed_at = coalesce(l.ceiling_at - interval '1 hour', c.claimed_at)
             FROM claim_leases AS l
             WHERE c.tenant_id = $1 AND c.consumer_id = $2 AND c.epoch = $3
                 AND l.tenant_id = $1 AND l.consumer_id = $2 AND l.epoch = $3",
            &[&key.0, &key.1, &key.2],
        )
        .await
        .expect("a scrambled claim");
    client.batch_execute("SET session_replication_role = DEFAULT").await.expect("a superuser");
}

async fn db_now(db: &TestDatabase) -> Timestamp {
    let now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    Timestamp::from_unix_micros(db.number(now).await)
}

/// A small generator whose numbers are the same in every run (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn below_i64(&mut self, bound: u64) -> i64 {
        i64::try_from(self.below(bound)).expect("a small bound")
    }
}
