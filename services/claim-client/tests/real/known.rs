//! A client whose token is replaced while it works.

use crate::support::programs::Server;
use crate::support::{eventually_refused, in_time, may_write, mint};
use claim_client::v1::WatchClaimEventsRequest;
use claim_client::{Client, Done, WatchItem};
use claims::testing::TestDatabase;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

const POLICY: &str = r#"
[[grant]]
callers = ["token:runner"]
tenants = ["default"]
roles = ["holder", "observer"]
"#;

/// Files of a server and of a client; gone when dropped.
struct Files(PathBuf);

impl Files {
    fn new() -> Self {
        let folder =
            std::env::temp_dir().join(format!("claim-client-known-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    /// Puts a file there as a whole.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let (new, path) = (self.0.join("new"), self.0.join(name));
        fs::write(&new, text).expect("a file");
        fs::rename(new, &path).expect("a file");
        path
    }

    /// The tokens that the server knows.
    fn known(&self, tokens: &[&str]) -> PathBuf {
        let line = |token: &&str| {
            let digest = Sha256::digest(token.as_bytes());
            let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{digits} runner\n")
        };
        self.write("tokens", &tokens.iter().map(line).collect::<String>())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn client(server: &Server, token: &Path) -> Client {
    Client::builder([server.url()]).bearer_token_file(token).build().expect("good settings")
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_are_kept_and_watches_go_on_while_the_token_is_replaced() {
    let db = TestDatabase::in_service().await;
    let files = Files::new();
    let (policy, tokens) = (files.write("policy", POLICY), files.known(&["t0"]));
    let own = [("CLAIM_POLICY_FILE", &*policy), ("CLAIM_TOKENS_FILE", &*tokens)];
    let server = Server::start_with(db.url(), "127.0.0.1:0", &own).await;
    let client = client(&server, &files.write("token", "t0"));
    let guard = mint(&client, "w_1").await;
    let mut watch = client.watch_claim_events(WatchClaimEventsRequest::default());
    watch.next().await.expect("a checkpoint");

    for round in 1..=2 {
        let (old, new) = (format!("t{}", round - 1), format!("t{round}"));
        files.known(&[&old, &new]);
        // Once the server takes the new token, the client gets it; then the old one is withdrawn.
        let newer = Client::builder([server.url()]).bearer_token(&*new).build().unwrap();
        let older = Client::builder([server.url()]).bearer_token(&*old).build().unwrap();
        in_time("the new token is known", async {
            while newer.get_claim(guard.id()).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        })
        .await;
        files.write("token", &new);
        files.known(&[&new]);
        eventually_refused(&older, guard.id()).await;

        mint(&newer, &format!("w_new_{round}")).await.done(Done::completed()).await.unwrap();
        let seen = in_time("the events of that", async {
            loop {
                if let WatchItem::Event(event) = watch.next().await.expect("a watch that goes on") {
                    return event.consumer_id;
                }
            }
        });
        assert_eq!(seen.await, format!("w_new_{round}"));
        // And its end.
        in_time("the end", watch.next()).await.unwrap();
        assert!(may_write(&guard), "{:?}", guard.state());
    }
    client.get_claim(guard.id()).await.unwrap();
    guard.done(Done::completed()).await.unwrap();
}
