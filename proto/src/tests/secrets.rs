//! No write token is ever printed.

use std::fmt::Debug;

use protox::prost_reflect::Value;

use super::published;
use crate::v1::{
    AuthorizeWriteRequest, DoneOutcome, DoneRequest, HeartbeatBatchRequest, HeartbeatRequest,
    KeepAliveRequest, MintResponse,
};

const TOKEN: &str = "q0fcFnbAoV1vX9mlzg8dJ3KsY2hTeR7uWwPxLi4ZBEc";

fn heartbeat() -> HeartbeatRequest {
    HeartbeatRequest {
        consumer_id: "w_1".to_owned(),
        epoch: 7,
        write_token: TOKEN.to_owned(),
        ..HeartbeatRequest::default()
    }
}

/// Both debug forms, after a check that they hide the token and say so.
fn printed(message: &impl Debug) -> String {
    let both = format!("{message:?}\n{message:#?}");
    assert!(!both.contains(TOKEN), "a token was printed: {both}");
    assert_eq!(both.matches("write_token: <redacted>").count(), 2, "{both}");
    both
}

#[test]
fn debug_never_prints_a_write_token() {
    printed(&MintResponse { write_token: TOKEN.to_owned(), ..MintResponse::default() });
    printed(&heartbeat());
    printed(&HeartbeatBatchRequest { heartbeats: vec![heartbeat()] });
    printed(&KeepAliveRequest { tag: 1, heartbeat: Some(heartbeat()) });
    printed(&DoneRequest { write_token: TOKEN.to_owned(), ..DoneRequest::default() });
    printed(&AuthorizeWriteRequest {
        write_token: TOKEN.to_owned(),
        ..AuthorizeWriteRequest::default()
    });
    printed(&tonic::Request::new(heartbeat()));
}

#[test]
fn debug_still_prints_what_is_no_secret() {
    let heartbeat = printed(&heartbeat());
    assert!(heartbeat.contains(r#"consumer_id: "w_1", epoch: 7,"#), "{heartbeat}");

    let failed = DoneRequest { outcome: DoneOutcome::Failed.into(), ..DoneRequest::default() };
    assert!(printed(&failed).contains("outcome: Failed,"));
    let unknown = DoneRequest { outcome: 99, ..DoneRequest::default() };
    assert!(printed(&unknown).contains("outcome: 99,"));
}

#[test]
fn the_secrets_are_the_write_tokens_and_are_marked_as_such_in_the_published_descriptors() {
    let mut marked = Vec::new();
    for message in published().all_messages() {
        for field in message.fields() {
            let options = field.options();
            let redact = options.get_field_by_name("debug_redact");
            let redact = redact.is_some_and(|value| matches!(*value, Value::Bool(true)));
            assert_eq!(redact, field.name() == "write_token", "{}", field.full_name());
            if redact {
                marked.push(message.name().to_owned());
            }
        }
    }
    marked.sort();
    // A message that is new here needs a line in `debug_never_prints_a_write_token`.
    assert_eq!(
        marked,
        ["AuthorizeWriteRequest", "DoneRequest", "HeartbeatRequest", "MintResponse"]
    );
}
