//! R6: an outage costs nobody a claim whose holder comes back in time. A thousand holders go
//! through a minute without the service, twice as long as their leases, and keep their claims;
//! twenty more die just before it, and their claims are expired when they may be and no sooner.
//!
//! Two servers, and two reapers that reach the database directly: in two of the three ways the
//! leases lapse before the reapers' eyes. The ways are played one after the other
//! (`scripts/test-outages`), because each prints how long its recovery took.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed; one that takes minutes tells what it saw"
)]

mod support;

use claims::testing::{Proxy, Road, TestDatabase};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use support::holders::{DEADLINE, Directory, Holders, Record, SERVERS};
use support::own_database::OwnDatabase;
use support::reaper::ReaperDaemon;
use support::{PATIENCE, Server};
use tokio::time::{Instant, sleep, timeout};

/// Holders that live through the outage.
const HOLDERS: usize = 1_000;
/// Holders that die just before it: more than the brake (R7) asks for, less than its share.
const DEAD: usize = 20;
/// Longer than lease and reap grace together, so that every lease lapses and would be due.
const OUTAGE: Duration = Duration::from_secs(60);

/// The defaults of the programs.
const LEASE: Duration = Duration::from_secs(30);
const OUTAGE_GRACE: Duration = Duration::from_secs(30);
const REAP_GRACE: Duration = Duration::from_secs(5);

/// Heartbeats of every holder before the outage.
const HEALTHY_HEARTBEATS: usize = 3;
/// How long everything is watched after the outage: a wrong expiry may come only when the outage
/// grace is over.
const AFTERMATH: Duration =
    OUTAGE_GRACE.saturating_add(REAP_GRACE).saturating_add(LEASE.saturating_mul(2));
/// Between two looks at all holders.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: scripts/test-outages"]
async fn no_claim_is_lost_while_the_database_is_stopped() {
    play(Way::DatabaseStopped).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: scripts/test-outages"]
async fn no_claim_is_lost_while_all_servers_are_stopped() {
    play(Way::ServersStopped).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: scripts/test-outages"]
async fn no_claim_is_lost_while_the_servers_are_cut_off_from_the_database() {
    play(Way::NetworkCut).await;
}

/// What keeps the holders from being heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The database crashed; nobody reaches it, the reapers neither.
    DatabaseStopped,
    /// One server was killed, the other one drained.
    ServersStopped,
    /// What the servers send to the database vanishes; the reapers still reach it.
    NetworkCut,
}

/// The whole service.
struct Scene {
    way: Way,
    database: OwnDatabase,
    look: TestDatabase,
    /// The servers' road to the database.
    proxy: Proxy,
    servers: [Server; SERVERS],
    reapers: [ReaperDaemon; 2],
    directory: Arc<Directory>,
}

impl Scene {
    async fn set(way: Way) -> Self {
        let (database, look) = OwnDatabase::guarded().await;
        let proxy = Proxy::before(&database.url).await;
        let url = url_for_servers(way, &database, &proxy);
        let servers = [Server::start(url).await, Server::start(url).await];
        let reapers = [ReaperDaemon::start(&database.url), ReaperDaemon::start(&database.url)];
        let directory = Directory::of([servers[0].address, servers[1].address], HOLDERS);
        Self { way, database, look, proxy, servers, reapers, directory }
    }

    /// The outage begins.
    async fn take_away(&mut self) {
        match self.way {
            Way::DatabaseStopped => self.database.stop().await,
            Way::ServersStopped => {
                self.servers[0].signal("KILL");
                self.servers[1].signal("TERM");
                for server in &mut self.servers {
                    let ended = timeout(PATIENCE, server.child.wait()).await;
                    ended.expect("it ends in time").expect("a process");
                }
            }
            Way::NetworkCut => self.proxy.set(Road::BlackHole),
        }
    }

    /// The outage ends.
    async fn give_back(&mut self) {
        match self.way {
            Way::DatabaseStopped => {
                self.database.start().await;
                self.look.reconnect().await;
            }
            Way::ServersStopped => {
                let url = url_for_servers(self.way, &self.database, &self.proxy);
                for number in 0..SERVERS {
                    self.servers[number] = Server::start(url).await;
                    self.directory.announce(number, self.servers[number].address);
                }
            }
            Way::NetworkCut => self.proxy.set(Road::Open),
        }
    }

    /// Panics unless all programs still run.
    fn check_programs(&mut self) {
        for server in &mut self.servers {
            assert!(server.child.try_wait().expect("a process").is_none(), "a server has ended");
        }
        for reaper in &mut self.reapers {
            assert!(reaper.is_running(), "a reaper has ended: {}", reaper.log());
        }
    }
}

fn url_for_servers<'a>(way: Way, database: &'a OwnDatabase, proxy: &'a Proxy) -> &'a str {
    match way {
        // A proxy would accept connections while the database does not.
        Way::DatabaseStopped | Way::ServersStopped => &database.url,
        Way::NetworkCut => proxy.url(),
    }
}

/// When the outage was, by this machine's clock, which is the database's too.
struct Outage {
    began: Instant,
    ended: Instant,
    ended_at: SystemTime,
}

async fn play(way: Way) {
    let mut scene = Scene::set(way).await;
    let living = Holders::start("living", HOLDERS, &scene.directory);
    let dying = Holders::start("dying", DEAD, &scene.directory);
    until_all_are_heard_often(&[&living, &dying], &scene.directory).await;

    dying.die();
    scene.take_away().await;
    let began = Instant::now();
    sleep(OUTAGE).await;
    let outage = Outage { began, ended: Instant::now(), ended_at: SystemTime::now() };
    scene.give_back().await;

    watch_the_aftermath(&living, &scene.directory, outage.ended).await;
    scene.check_programs();
    check_holders(way, &living.records(), &outage);
    check_expiries(way, &scene.look, &outage).await;
    check_reapers(&scene).await;
    println!(
        "{way:?}: calls in vain: {:?}; none was sent again later than {:.1?} after it",
        scene.directory.in_vain(),
        scene.directory.slowest(),
    );

    let done = living.finish().await.iter().filter(|record| record.is_done).count();
    assert_eq!(done, HOLDERS, "every holder finishes its work");
    let ended = "SELECT count(*) FROM claim_events WHERE type = 'released'";
    assert_eq!(scene.look.number(ended).await, count(HOLDERS));
    scene.look.check_invariants().await;
}

/// Three intervals of ten seconds, after mints that are spread over ten more; and all the patience
/// of a machine that has other things to do.
async fn until_all_are_heard_often(holders: &[&Holders], directory: &Directory) {
    let limit = Instant::now() + 4 * PATIENCE;
    loop {
        let records: Vec<Record> = holders.iter().flat_map(|some| some.records()).collect();
        check_refusals(&records, directory);
        let left = records.iter().filter(|record| record.heard.len() < HEALTHY_HEARTBEATS).count();
        if left == 0 {
            return;
        }
        let how = how_they_fared(directory);
        assert!(Instant::now() < limit, "{left} are not served by a healthy service; {how}");
        sleep(LOOK_AGAIN).await;
    }
}

/// Looks at the holders for as long as a claim could yet be lost for the outage.
async fn watch_the_aftermath(living: &Holders, directory: &Directory, since: Instant) {
    while since.elapsed() < AFTERMATH {
        check_refusals(&living.records(), directory);
        sleep(LOOK_AGAIN).await;
    }
}

fn check_refusals(records: &[Record], directory: &Directory) {
    let refused: Vec<&String> =
        records.iter().filter_map(|record| record.refusal.as_ref()).collect();
    let how = how_they_fared(directory);
    assert!(
        refused.is_empty(),
        "{} claims are lost, the first: {}; {how}",
        refused.len(),
        refused[0]
    );
}

/// What tells a service that fails its holders from a machine that starves them.
fn how_they_fared(directory: &Directory) -> String {
    let (in_vain, slowest) = (directory.in_vain(), directory.slowest());
    format!(
        "calls in vain: {in_vain:?}; one was sent again only after {slowest:.1?}, 5 s are allowed"
    )
}

/// Every holder was silenced by the outage, and heard of again afterwards, time and again.
fn check_holders(way: Way, records: &[Record], outage: &Outage) {
    let mut waits = vec![];
    let mut had_lapsed = 0;
    for record in records {
        // An answer may have been on its way.
        let silent_from = outage.began + DEADLINE;
        let first = record.heard_since(silent_from).expect("every holder is heard of again");
        assert!(first.at >= outage.ended, "the outage was none");
        waits.push(first.at - outage.ended);
        had_lapsed += usize::from(first.had_lapsed);
        let last = record.heard.last().expect("the first at least");
        assert!(last.at.elapsed() < LEASE, "a holder fell silent afterwards");
    }
    waits.sort_unstable();
    let (first, median, last) = (waits[0], waits[HOLDERS / 2], waits[HOLDERS - 1]);
    println!(
        "{way:?}: {} of {HOLDERS} holders were heard of again after an outage of {:.1?}, the first \
         {first:.1?} after its end, half of them {median:.1?}, the last {last:.1?}; {had_lapsed} \
         were told that their lease had lapsed; 0 claims were lost",
        records.len(),
        outage.ended - outage.began,
    );
    // An answer that was lost may have been the one that told it.
    assert!(had_lapsed > HOLDERS / 2, "the outage outlasts the leases");
}

/// The claims of the living are as they were; those of the dead are expired once each, after both
/// graces.
async fn check_expiries(way: Way, look: &TestDatabase, outage: &Outage) {
    let active = "SELECT count(*) FROM consumer_claims
         WHERE state = 'active' AND starts_with(consumer_id, 'living-')";
    assert_eq!(look.number(active).await, count(HOLDERS));
    let since_1970 = outage.ended_at.duration_since(SystemTime::UNIX_EPOCH).expect("a present");
    let expiries = "SELECT consumer_id, extract(epoch FROM occurred_at)::float8 - $1::float8
         FROM claim_events WHERE type = 'expired' AND actor = 'reaper' ORDER BY occurred_at";
    let expiries = look.sql.query(expiries, &[&since_1970.as_secs_f64()]).await.expect("a query");
    let after: Vec<f64> = expiries.iter().map(|row| row.get(1)).collect();
    let mut expired: Vec<String> = expiries.iter().map(|row| row.get(0)).collect();
    let mut dead: Vec<String> = (0..DEAD).map(|number| format!("dying-{number}")).collect();
    expired.sort_unstable();
    dead.sort_unstable();
    assert_eq!(expired, dead, "the dead are expired once each, and nobody else");
    let (first, last) = (after[0], after[DEAD - 1]);
    println!(
        "{way:?}: {DEAD} dead holders' claims were expired {first:.1} s to {last:.1} s after it"
    );
    // The service resumes with the first signature, never before the outage is over.
    let protected = OUTAGE_GRACE + REAP_GRACE;
    assert!(first >= protected.as_secs_f64(), "the outage grace and the reap grace are kept");
}

/// The reapers saw what lapsed, and held it back for the outage and nothing else.
async fn check_reapers(scene: &Scene) {
    let held_for = async |reason| {
        let most = format!(
            "SELECT coalesce(max(held_back), 0) FROM reaper_passes WHERE hold_reason = '{reason}'"
        );
        scene.look.number(&most).await
    };
    let held_back = held_for("outage_grace").await;
    println!("{:?}: at most {held_back} claims were held back by a pass", scene.way);
    let lapsed_in_sight = match scene.way {
        // How many have come back before the first pass after it is chance.
        Way::DatabaseStopped => DEAD,
        Way::ServersStopped | Way::NetworkCut => HOLDERS + DEAD,
    };
    assert!(held_back >= count(lapsed_in_sight), "{held_back} were held back");
    assert_eq!(held_for("brake").await, 0, "an outage is no mass expiry (R7)");
    for reaper in &scene.reapers {
        let log = reaper.log();
        assert!(log.contains("outage_grace"), "whoever reads the log learns of it: {log}");
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).expect("a small number")
}
