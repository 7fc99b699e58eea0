//! Many claims, one stream.

use crate::support::script::{RENEW, Reply};
use crate::support::stage::Stage;
use crate::support::{claim, client, eventually, status};
use claim_client::HoldState;
use futures_util::future::join_all;
use std::collections::HashSet;
use std::time::{Duration, Instant};
use tonic::Code;

const CLAIMS: usize = 500;

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_claims_of_a_process_share_one_stream() {
    let stage = Stage::start().await;
    let client = client(&[stage.url()]);
    let ttl = Duration::from_secs(4);
    let mints = (0..CLAIMS).map(|n| client.mint(claim(&format!("w_{n}")).lease_ttl(ttl)));
    let guards: Vec<_> = join_all(mints).await.into_iter().map(|guard| guard.unwrap()).collect();
    let begin = Instant::now();
    while begin.elapsed() < ttl * 2 {
        for guard in &guards {
            assert!(matches!(guard.state(), HoldState::Writing { .. }), "{:?}", guard.state());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(stage.streams(), 1);
    let heard: HashSet<String> = stage.beats().into_iter().map(|beat| beat.consumer).collect();
    assert_eq!(heard.len(), CLAIMS);

    // When it ends, all of them come back over the next one.
    let ended = || status(Code::Unavailable, "DATABASE_UNAVAILABLE");
    stage.script.set_beats(move |_| Reply::End(ended()));
    eventually("the next stream", || stage.streams() > 1).await;
    stage.script.set_beats(|_| RENEW);
    eventually("all are heard", || {
        let next = stage.beats().into_iter().filter(|beat| beat.stream > 0);
        next.map(|beat| beat.consumer).collect::<HashSet<_>>().len() == CLAIMS
    })
    .await;
}
