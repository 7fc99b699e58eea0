//! By which token servers know the client.

use crate::support::script::Act;
use crate::support::stage::Stage;
use crate::support::{eventually, mint, status};
use claim_client::{ClaimId, Client, Code, Error, Refusal};
use std::time::Duration;

async fn ask(client: &Client) -> Result<claim_client::v1::Claim, Error> {
    let id = ClaimId { tenant_id: String::new(), consumer_id: "w_1".into(), epoch: 1 };
    client.get_claim(&id).await
}

#[tokio::test]
async fn every_call_and_stream_has_the_token_and_none_if_there_is_none() {
    let stage = Stage::start().await;
    let client = Client::builder([stage.url()]).bearer_token("s3cret").build().unwrap();
    let guard = mint(&client, "w_1").await;
    eventually("it is heard", || !stage.beats().is_empty()).await;
    ask(&client).await.unwrap();
    drop(guard);
    let seen = stage.authorizations();
    assert_eq!(seen.len(), 3, "a mint, a stream and a call");
    assert!(seen.iter().all(|header| header.as_deref() == Some("Bearer s3cret")), "{seen:?}");

    ask(&crate::support::client(&[stage.url()])).await.unwrap();
    assert_eq!(stage.authorizations().pop(), Some(None));
}

#[tokio::test]
async fn a_token_that_is_replaced_in_its_file_is_sent_soon_and_one_that_is_gone_is_kept() {
    let stage = Stage::start().await;
    let path = std::env::temp_dir().join(format!("claim-client-bearer-{}", std::process::id()));
    std::fs::write(&path, "first\n").unwrap();
    let client = Client::builder([stage.url()]).bearer_token_file(&path).build().unwrap();
    ask(&client).await.unwrap();
    assert_eq!(stage.authorizations().pop().flatten().as_deref(), Some("Bearer first"));

    std::fs::write(&path, "second").unwrap();
    let sent = async || {
        ask(&client).await.unwrap();
        stage.authorizations().pop().flatten()
    };
    while sent().await.as_deref() != Some("Bearer second") {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    std::fs::remove_file(&path).unwrap();
    let begin = tokio::time::Instant::now();
    while begin.elapsed() < Duration::from_millis(1500) {
        assert_eq!(sent().await.as_deref(), Some("Bearer second"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_client_that_is_not_known_is_told_so_at_once() {
    let stage = Stage::start().await;
    let unknown = || status(Code::Unauthenticated, "UNAUTHENTICATED");
    stage.script.set_calls(move |_, _| Act::No(unknown()));
    let client = Client::builder([stage.url()]).bearer_token("wrong").build().unwrap();
    let refused = ask(&client).await.unwrap_err();
    assert!(matches!(refused, Error::Refused(Refusal::Unauthenticated)), "{refused}");
    assert_eq!(stage.count("get_claim"), 1);
}
