//! By what callers are known, and that all of it can be replaced while they call.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use claim_proto::v1::{MintRequest, WatchClaimEventsRequest, WatchClaimEventsResponse};
use claims::testing::TestDatabase;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::identity::{Files, audit, grant, lines, token, with_token};
use support::issuer::{AUDIENCE, ISSUER, Key, claims, claims_until, key_set};
use support::issuer_site::Site;
use support::refusal::Refusal;
use support::streams::KeepAlive;
use support::{Client, PATIENCE, Server, eventually, heartbeat, mint};
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};

const ALL: [&str; 4] = ["holder", "verifier", "observer", "operator"];
const ISSUED: [(&str, &str); 2] = [("CLAIM_JWT_ISSUER", ISSUER), ("CLAIM_JWT_AUDIENCE", AUDIENCE)];

fn log(server: &Server) -> String {
    server.log.lock().expect("no panic holds it").clone()
}

/// Waits until the server has said that so many times.
async fn said(server: &Server, what: &str, times: usize) {
    eventually(what, async || log(server).matches(what).count() >= times).await;
}

async fn beat(client: &mut Client, token: &str) -> Result<(), Status> {
    client.heartbeat(with_token(token, heartbeat("w_1", 1))).await.map(|_| ())
}

fn unauthenticated(answer: Result<(), Status>) {
    let refusal = Refusal::of(&answer.expect_err("a caller that is not known"));
    assert_eq!(refusal.kind(), (Code::Unauthenticated, "UNAUTHENTICATED"));
    assert!(refusal.metadata.is_empty() && refusal.retry.is_none());
}

/// The status that ends a watch.
async fn end(watch: &mut Streaming<WatchClaimEventsResponse>) -> Refusal {
    let ended = async {
        loop {
            if let Err(ended) = watch.message().await {
                return ended;
            }
        }
    };
    Refusal::of(&timeout(PATIENCE, ended).await.expect("an end in time"))
}

/// Callers that beat with whatever credentials they are told, and count what failed.
struct Callers {
    credentials: Arc<Mutex<Vec<String>>>,
    goes_on: Arc<AtomicBool>,
    beats: Arc<AtomicUsize>,
    tasks: Vec<tokio::task::JoinHandle<Vec<Status>>>,
}

impl Callers {
    async fn start(server: &Server, credentials: Vec<String>) -> Self {
        let credentials = Arc::new(Mutex::new(credentials));
        let goes_on = Arc::new(AtomicBool::new(true));
        let beats = Arc::new(AtomicUsize::new(0));
        let mut tasks = vec![];
        for number in 0..4 {
            let mut client = server.client().await;
            let (credentials, goes_on, beats) =
                (credentials.clone(), goes_on.clone(), beats.clone());
            tasks.push(tokio::spawn(async move {
                let mut failed = vec![];
                let mut turn = number;
                while goes_on.load(Ordering::SeqCst) {
                    let token = {
                        let all = credentials.lock().expect("no panic holds it");
                        all[turn % all.len()].clone()
                    };
                    turn += 1;
                    failed.extend(beat(&mut client, &token).await.err());
                    beats.fetch_add(1, Ordering::SeqCst);
                }
                failed
            }));
        }
        Self { credentials, goes_on, beats, tasks }
    }

    /// From now on they call with these; completes when no call with others is under way.
    async fn use_only(&self, credentials: Vec<String>) {
        *self.credentials.lock().expect("no panic holds it") = credentials;
        let begin = self.beats.load(Ordering::SeqCst);
        eventually("all call with the new ones", async || {
            self.beats.load(Ordering::SeqCst) > begin + 50
        })
        .await;
    }

    async fn end(self) -> (usize, Vec<Status>) {
        self.goes_on.store(false, Ordering::SeqCst);
        let mut failed = vec![];
        for task in self.tasks {
            failed.extend(task.await.expect("no panic"));
        }
        (self.beats.load(Ordering::SeqCst), failed)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_keys_and_policy_are_replaced_under_load_without_a_failed_call() {
    let db = TestDatabase::in_service().await;
    let policy = |stems: [&str; 2]| {
        stems.map(|stem| grant(&format!("{stem}*"), "default", &["holder"])).concat()
    };
    let files = Files::new(&policy(["token:", "jwt:"]), &["ci"]);
    let keys = [Key::ed25519("k0"), Key::p256("k1"), Key::ed25519("k2")];
    files.write("keys", &key_set(&[&keys[0]]));
    let path = files.path("keys");
    let server =
        files.server(db.url(), &[&ISSUED[..], &[("CLAIM_JWKS_FILE", &*path)]].concat()).await;
    let mut client = server.client().await;
    client.mint(with_token(&token("ci"), mint("/chat/a", "w_1"))).await.unwrap();

    let jwt = |key: &Key| key.token(&claims("runner"));
    let mut present = token("ci");
    let callers = Callers::start(&server, vec![present.clone(), jwt(&keys[0])]).await;
    for round in 1..keys.len() {
        let next = token(&format!("ci-{round}"));
        // The new ones first, beside the old.
        files.write("tokens", &lines([(present.clone(), "ci"), (next.clone(), "ci")]));
        files.write("keys", &key_set(&[&keys[round - 1], &keys[round]]));
        said(&server, "tokens was read anew", 2 * round - 1).await;
        said(&server, "keys was read anew", 2 * round - 1).await;
        callers.use_only(vec![next.clone(), jwt(&keys[round])]).await;
        // Then the old ones go, and the policy is another that grants the same.
        files.write("tokens", &lines([(next.clone(), "ci")]));
        files.write("keys", &key_set(&[&keys[round]]));
        let stems = if round % 2 == 0 { ["token:", "jwt:"] } else { ["token:c", "jwt:run"] };
        files.write("policy.toml", &policy(stems));
        said(&server, "tokens was read anew", 2 * round).await;
        said(&server, "keys was read anew", 2 * round).await;
        said(&server, "policy.toml was read anew", round).await;
        unauthenticated(beat(&mut client, &present).await);
        unauthenticated(beat(&mut client, &jwt(&keys[round - 1])).await);
        present = next;
    }
    let (beats, failed) = callers.end().await;
    assert_eq!(failed.first().map(|status| format!("{status:?}")), None, "of {beats}");
    assert!(beats > 100, "{beats}");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_when_the_token_is_withdrawn_and_go_on_while_others_are() {
    let db = TestDatabase::in_service().await;
    let files = Files::new(&grant("token:*", "default", &ALL), &["gone", "stays"]);
    let server = files.server(db.url(), &[]).await;
    let mut client = server.client().await;
    client.mint(with_token(&token("gone"), mint("/chat/a", "w_1"))).await.unwrap();
    let mut streams = vec![];
    for name in ["gone", "stays"] {
        let mut stream = KeepAlive::try_open_with(&mut client, &token(name)).await.unwrap();
        stream.beat(1, heartbeat("w_1", 1)).await.unwrap();
        let asked = with_token(&token(name), WatchClaimEventsRequest::default());
        let mut watch = client.watch_claim_events(asked).await.unwrap().into_inner();
        watch.message().await.unwrap().expect("a checkpoint");
        streams.push((stream, watch));
    }
    files.write("tokens", &lines([(token("stays"), "stays")]));
    let (mut stream, mut watch) = streams.remove(0);
    assert_eq!(stream.end().await.reason, "UNAUTHENTICATED");
    assert_eq!(end(&mut watch).await.reason, "UNAUTHENTICATED");
    unauthenticated(beat(&mut client, &token("gone")).await);
    let (mut stream, mut watch) = streams.remove(0);
    stream.beat(2, heartbeat("w_1", 1)).await.unwrap();

    // A watch goes with the role, too; a stream of heartbeats has each of them refused.
    files.write("policy.toml", &grant("token:*", "elsewhere", &ALL));
    assert_eq!(end(&mut watch).await.reason, "NOT_PERMITTED");
    assert_eq!(stream.beat(3, heartbeat("w_1", 1)).await.unwrap_err().reason, "NOT_PERMITTED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_its_jwt_is_over() {
    let db = TestDatabase::in_service().await;
    let files = Files::new(&grant("jwt:*", "default", &ALL), &["ci"]);
    let key = Key::ed25519("a");
    files.write("keys", &key_set(&[&key]));
    let path = files.path("keys");
    let more = [&ISSUED[..], &[("CLAIM_JWKS_FILE", &*path)]].concat();
    let server = files.server(db.url(), &more).await;
    let mut client = server.client().await;
    client.mint(with_token(&key.token(&claims("r")), mint("/chat/a", "w_1"))).await.unwrap();
    // It is over but for the leeway of the clocks.
    let mut late = claims_until("r", Duration::ZERO);
    late["exp"] = (support::issuer::now() - 27).into();
    let late = key.token(&late);
    let mut stream = KeepAlive::try_open_with(&mut client, &late).await.unwrap();
    stream.beat(1, heartbeat("w_1", 1)).await.unwrap();
    assert_eq!(stream.end().await.reason, "UNAUTHENTICATED");
    unauthenticated(beat(&mut client, &late).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_used_changes_nothing_and_is_told_once() {
    let db = TestDatabase::in_service().await;
    let files = Files::new(&grant("token:ci", "default", &["holder"]), &["ci"]);
    let server = files.server(db.url(), &[]).await;
    let mut client = server.client().await;
    client.mint(with_token(&token("ci"), mint("/chat/a", "w_1"))).await.unwrap();
    files.write("policy.toml", "[[grant]]\ncallers = [\"token:ci\"]\nwho = 1\n");
    files.write("tokens", "half a li");
    said(&server, "policy.toml:3: unknown field `who`", 1).await;
    said(&server, "tokens:1: must begin with a SHA-256 digest", 1).await;
    beat(&mut client, &token("ci")).await.unwrap();

    std::fs::remove_file(files.path("tokens")).expect("a file");
    said(&server, "what was read before stays", 3).await;
    beat(&mut client, &token("ci")).await.unwrap();
    files.write("tokens", &lines([(token("other"), "ci")]));
    said(&server, "tokens was read anew", 1).await;
    unauthenticated(beat(&mut client, &token("ci")).await);
    beat(&mut client, &token("other")).await.unwrap();
    let log = log(&server);
    assert_eq!(log.matches("unknown field `who`").count(), 1, "{log}");
    assert_eq!(log.matches("must begin with a SHA-256").count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_fetched_over_https_and_again_when_a_new_one_signs() {
    let db = TestDatabase::in_service().await;
    let (first, second) = (Key::p256("k1"), Key::ed25519("k2"));
    let site = Site::start(key_set(&[&first])).await;
    let subject = "system:serviceaccount:fleet:runner";
    let files = Files::new(&grant(&format!("jwt:{subject}"), "default", &["holder"]), &["ci"]);
    files.write("authority", &site.authority);
    files.write("asker", "token-of-the-server\n");
    let (authority, asker) = (files.path("authority"), files.path("asker"));
    let own = [
        ("CLAIM_JWKS_URL", &*site.url),
        ("CLAIM_JWKS_CA_FILE", &*authority),
        ("CLAIM_JWKS_TOKEN_FILE", &*asker),
    ];
    let server = files.server(db.url(), &[&ISSUED[..], &own].concat()).await;
    let mut client = server.client().await;
    let token = first.token(&claims(subject));
    client.mint(with_token(&token, mint("/chat/a", "w_1"))).await.unwrap();
    assert!(site.requests()[0].contains("authorization: Bearer token-of-the-server\r\n"));

    // A key that nobody knows has the keys fetched, but not as often as it is named.
    let stranger = Key::ed25519("k9").token(&claims(subject));
    for _ in 0..20 {
        unauthenticated(beat(&mut client, &stranger).await);
    }
    assert!(site.asked() <= 2, "{}", site.asked());
    // An issuer that fails takes nothing away.
    site.show("500 Internal Server Error", String::new());
    eventually("it is asked again for a key that is not known", async || {
        let _ = beat(&mut client.clone(), &stranger).await;
        log(&server).contains("it answered 500")
    })
    .await;
    beat(&mut client, &token).await.unwrap();
    site.show("200 OK", key_set(&[&second]));
    let next = second.token(&claims(subject));
    eventually("a new key is known", async || beat(&mut client.clone(), &next).await.is_ok()).await;
    unauthenticated(beat(&mut client, &token).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_of_another_authority_is_not_believed() {
    let db = TestDatabase::in_service().await;
    let key = Key::ed25519("a");
    let (site, other) = (Site::start(key_set(&[&key])).await, Site::start(String::new()).await);
    let files = Files::new(&grant("jwt:*", "default", &["holder"]), &["ci"]);
    files.write("authority", &other.authority);
    let authority = files.path("authority");
    let own = [("CLAIM_JWKS_URL", &*site.url), ("CLAIM_JWKS_CA_FILE", &*authority)];
    let server = files.server(db.url(), &[&ISSUED[..], &own].concat()).await;
    let mut client = server.client().await;
    unauthenticated(beat(&mut client, &key.token(&claims("r"))).await);
    assert_eq!(site.asked(), 0);
    assert!(log(&server).contains("what was read before stays"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_bearer_token_is_logged_however_much_is_logged_and_refusals_say_why() {
    let db = TestDatabase::in_service().await;
    let files = Files::new(&grant("token:ci", "default", &["holder"]), &["ci"]);
    let key = Key::ed25519("a");
    files.write("keys", &key_set(&[&key]));
    let path = files.path("keys");
    let own = [("CLAIM_JWKS_FILE", &*path), ("RUST_LOG", "trace"), ("CLAIM_LOG_FORMAT", "json")];
    let server = files.server(db.url(), &[&ISSUED[..], &own].concat()).await;
    let mut client = server.client().await;
    client.mint(with_token(&token("ci"), mint("/chat/a", "w_1"))).await.unwrap();
    let mut foreign = claims("r");
    foreign["iss"] = "https://elsewhere.test".into();
    let tokens = [
        (token("ci"), ""),
        (token("stranger"), "the token is unknown"),
        (key.token(&foreign), "the JWT is of another issuer"),
        (Key::ed25519("a").token(&claims("r")), "the signature of the JWT is wrong"),
        (Key::ed25519("z").token(&claims("r")), "the key of the JWT is unknown"),
    ];
    for (token, why) in &tokens {
        match why.is_empty() {
            true => beat(&mut client, token).await.unwrap(),
            false => unauthenticated(beat(&mut client, token).await),
        }
    }
    eventually("each is told", async || audit(&server).len() == 4).await;
    let whys: Vec<_> = audit(&server).iter().map(|line| line["reason"].clone()).collect();
    let expected: Vec<_> = tokens.iter().skip(1).map(|(_, why)| *why).collect();
    assert_eq!(whys, expected);
    let log = log(&server);
    assert!(log.contains("TRACE") && log.contains("token:ci"), "much is logged");
    for (token, _) in &tokens {
        for part in token.split('.') {
            assert!(!log.contains(part), "a token is in the log");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_set_everybody_is_anonymous_and_a_warning_says_so() {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let mut client = server.client().await;
    let asked: MintRequest = mint("/chat/a", "w_1");
    client.mint(with_token("any-token-at-all", asked)).await.unwrap();
    client.heartbeat(heartbeat("w_1", 1)).await.unwrap();
    said(&server, "callers are asked for no credentials", 1).await;
    assert!(log(&server).lines().any(|line| line.contains("WARN") && line.contains("POLICY")));
}
