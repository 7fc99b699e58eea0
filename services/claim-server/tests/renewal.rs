//! Certificates of the real server that are exchanged while it runs: in use soon, without a failed
//! call, unless they cannot be used. Calls are health checks, which need no database.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "how a test fails")]
#![allow(dead_code, unreachable_pub, reason = "shared with the tests that have a database")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use support::certificates::{
    Authority, ERROR, Files, Issued, SPIFFE, call, call_anew, endpoint, log, told,
};
use support::{Server, eventually};

/// Callers that go on until they are told to end, and how many calls they have made.
struct Load {
    is_over: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    callers: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    /// One caller keeps its connection, the others connect anew for each call. All trust `trusted`.
    async fn begin(server: &Server, trusted: &str, client: &Issued) -> Self {
        let (is_over, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let endpoint = endpoint(server.address, trusted, Some(client));
        let kept = endpoint.connect().await.unwrap();
        let mut callers = vec![];
        for kept in [Some(kept), None, None] {
            let (is_over, calls) = (is_over.clone(), calls.clone());
            let endpoint = endpoint.clone();
            callers.push(tokio::spawn(async move {
                while !is_over.load(Ordering::SeqCst) {
                    let channel = match &kept {
                        Some(kept) => kept.clone(),
                        None => endpoint.connect().await.expect("a connection"),
                    };
                    call(channel).await.expect("no call fails");
                    calls.fetch_add(1, Ordering::SeqCst);
                }
            }));
        }
        Self { is_over, calls, callers }
    }

    /// Waits for some more calls.
    async fn goes_on(&self) {
        let before = self.calls.load(Ordering::SeqCst);
        let calls = || async { self.calls.load(Ordering::SeqCst) > before + 20 };
        eventually("calls go on", calls).await;
    }

    async fn end(self) {
        self.is_over.store(true, Ordering::SeqCst);
        for caller in self.callers {
            caller.await.expect("no call has failed");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_exchanged_under_load_without_a_failed_call() {
    let (first, clients) = (Authority::new(), Authority::new());
    let files = Files::of(&first.server());
    files.trust(&[&clients]);
    let server = files.serve(&[]).await;
    let next: Vec<_> = (0..4).map(|_| Authority::new()).collect();
    let trusted: String = next.iter().chain([&first]).map(Authority::pem).collect();
    let load = Load::begin(&server, &trusted, &clients.client(SPIFFE, "a.b")).await;
    let runner = clients.client(SPIFFE, "b.c");
    for (number, authority) in next.iter().enumerate() {
        load.goes_on().await;
        files.replace(&authority.server());
        eventually("new connections get the new certificate", || async {
            call_anew(&server, authority, Some(&runner)).await.is_ok()
        })
        .await;
        call_anew(&server, &first, Some(&runner)).await.expect_err("the first is not shown again");
        eventually("it is told", || async {
            told(&server, "new certificates are in use") == number + 1
        })
        .await;
    }
    load.goes_on().await;
    load.end().await;
    assert_eq!(told(&server, ERROR), 0, "{}", log(&server));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_of_clients_that_is_taken_away_lets_nobody_new_in() {
    let (servers, old, new) = (Authority::new(), Authority::new(), Authority::new());
    let files = Files::of(&servers.server());
    files.trust(&[&old, &new]);
    let server = files.serve(&[]).await;
    let (of_old, of_new) = (old.client(SPIFFE, "a.b"), new.client(SPIFFE, "a.b"));
    let endpoint_of_old = endpoint(server.address, &servers.pem(), Some(&of_old));
    let kept = endpoint_of_old.connect().await.unwrap();
    call(kept.clone()).await.unwrap();
    call_anew(&server, &servers, Some(&of_new)).await.unwrap();

    files.trust(&[&new]);
    eventually("the old authority is forgotten", || async {
        call_anew(&server, &servers, Some(&of_old)).await.is_err()
    })
    .await;
    // Nor is what was agreed upon before of any use to the same client: it connects anew.
    let again =
        async { call(endpoint_of_old.connect().await.map_err(|_| ())?).await.map_err(drop) };
    again.await.expect_err("it is refused");
    call_anew(&server, &servers, Some(&of_new)).await.unwrap();
    call(kept).await.expect("connections that are open go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_cannot_be_used_leave_the_old_ones_in_use_and_one_line_of_log() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let (first, second) = (servers.server(), servers.server());
    let files = Files::of(&first);
    files.trust(&[&clients]);
    let server = files.serve(&[]).await;
    let runner = clients.client(SPIFFE, "a.b");
    let mut errors = 0;
    for (name, broken, good, setting) in [
        ("server.pem", "", &first.certificate, "CLAIM_TLS_CERT"),
        ("server.pem", &second.certificate, &first.certificate, "CLAIM_TLS_KEY"),
        ("server.key", "no key", &first.key, "CLAIM_TLS_KEY"),
        ("clients.pem", "nobody", &clients.pem(), "CLAIM_TLS_CLIENT_CA"),
    ] {
        let loaded = told(&server, "new certificates are in use");
        files.write(name, broken);
        errors += 1;
        eventually("it is told", || async { told(&server, ERROR) == errors }).await;
        let last = log(&server).lines().rfind(|line| line.contains(ERROR)).unwrap().to_owned();
        assert!(last.contains(setting) && last.contains("those in use stay"), "{last}");
        for _ in 0..3 {
            call_anew(&server, &servers, Some(&runner)).await.unwrap();
        }
        files.write(name, good);
        eventually("what is mended is taken", || async {
            told(&server, "new certificates are in use") > loaded
        })
        .await;
        assert_eq!(told(&server, ERROR), errors, "{}", log(&server));
    }
    files.replace(&second);
    eventually("a good one is taken", || async {
        told(&server, "new certificates are in use") == errors + 1
    })
    .await;
    call_anew(&server, &servers, Some(&runner)).await.unwrap();
    for key in [&first.key, &second.key] {
        let secret = key.lines().nth(1).unwrap();
        assert_eq!(told(&server, secret), 0, "keys are not for the log");
    }
}

#[tokio::test]
async fn a_certificate_that_ends_soon_or_has_ended_is_told_of_and_its_successor_is_not() {
    let servers = Authority::new();
    let in_days = |days: u64| SystemTime::now() + Duration::from_secs(24 * 60 * 60 * days);
    let files = Files::of(&servers.server_until(in_days(6)));
    let server = files.serve(&[]).await;
    eventually("it is told", || async { told(&server, "put a new one in its place") == 1 }).await;
    files.replace(&servers.server_until(in_days(8)));
    eventually("it is taken", || async { told(&server, "new certificates are in use") == 1 }).await;
    files.replace(&servers.server_until(SystemTime::now() - Duration::from_secs(1)));
    eventually("it is told", || async { told(&server, "the certificate has ended") == 1 }).await;
    assert_eq!(told(&server, "put a new one in its place"), 1);
    call_anew(&server, &servers, None).await.expect_err("clients refuse it");
}
