//! I12: a write token is nowhere but with its holder.

use super::support::{minted, refusal, scene, secs};
use claims::domain::{Done, Heartbeat, WriteToken};
use claims::testing::{done, fresh_token, heartbeat, kill, mint, tenant};
use std::fmt::Write as _;

#[tokio::test(flavor = "multi_thread")]
async fn no_write_token_is_in_the_database_or_in_its_log() {
    let (db, store) = scene().await;
    let mut tokens: Vec<WriteToken> = Vec::new();
    for (number, url) in ["/a", "/b", "/c", "/d", "/a", "/b"].into_iter().enumerate() {
        let asked = mint(url, &format!("w{number}")).request("r").supersede();
        let again = mint(url, &format!("w{number}")).request("r").supersede();
        let token = again.token.clone();
        tokens.extend([asked.token.clone(), again.token.clone()]);
        let claim = minted(&store, asked).await.claim;
        assert!(minted(&store, again).await.reminted);
        let wrong = fresh_token();
        for token in [&token, &wrong] {
            let beat = Heartbeat { token: Some(token.digest()), ..heartbeat(&claim.id) };
            let _ = store.heartbeat(beat).await;
            let _ = store.authorize(tenant(), claim.stream.clone(), token.digest()).await;
        }
        tokens.push(wrong);
        match number {
            0 => {
                let ending = Done { token: Some(token.digest()), ..done(&claim.id) };
                store.done(ending).await.unwrap();
            }
            1 => db.lapse(&claim.id, secs(1)).await,
            2 => drop(store.signal(kill("/c")).await.unwrap()),
            _ => drop(refusal(store.mint(mint(url, "nobody").mint).await)),
        }
    }
    let everything: String = db.all_rows().await.into_values().flatten().collect();
    let log = db.server_log();
    for token in &tokens {
        let plain = token.reveal();
        for written in [plain.to_owned(), hex(plain.as_bytes())] {
            assert!(!everything.contains(&written), "a token is in the database");
            assert!(!log.contains(&written), "a token is in the log");
        }
    }
    // The search would find what is there.
    let digest = tokens[1].digest();
    assert!(everything.contains(&hex(digest.as_bytes())), "its digest is");
    db.check_invariants().await;
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes everything");
        hex
    })
}
