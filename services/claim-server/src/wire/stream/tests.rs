use super::*;

fn beat(consumer: &str, epoch: i64) -> v1::HeartbeatRequest {
    v1::HeartbeatRequest { consumer_id: consumer.into(), epoch, ..Default::default() }
}

fn fields<T: std::fmt::Debug>(refused: Result<T, InvalidFields>) -> Vec<&'static str> {
    refused.unwrap_err().violations().iter().map(|violation| violation.field).collect()
}

fn batch(count: usize) -> v1::HeartbeatBatchRequest {
    v1::HeartbeatBatchRequest { heartbeats: vec![beat("w_1", 1); count] }
}

#[test]
fn a_batch_has_1_to_500_heartbeats() {
    assert_eq!(fields(heartbeats(&batch(0))), ["heartbeats"]);
    assert_eq!(heartbeats(&batch(1)).unwrap().len(), 1);
    assert_eq!(heartbeats(&batch(500)).unwrap().len(), 500);
    assert_eq!(fields(heartbeats(&batch(501))), ["heartbeats"]);
}

#[test]
fn a_bad_heartbeat_of_a_batch_leaves_the_others_good() {
    let asked = v1::HeartbeatBatchRequest {
        heartbeats: vec![beat("w_1", 1), beat("", -1), beat("w_3", 3)],
    };
    let mut checked = heartbeats(&asked).unwrap().into_iter();
    assert_eq!(checked.next().unwrap().unwrap().id.consumer.as_str(), "w_1");
    assert_eq!(fields(checked.next().unwrap()), ["consumer_id", "epoch"]);
    assert_eq!(checked.next().unwrap().unwrap().id.epoch.get(), 3);
}

#[test]
fn all_violations_of_a_heartbeat_on_a_stream_are_found_that_of_its_tag_too() {
    let asked = |tag, heartbeat| v1::KeepAliveRequest { tag, heartbeat };
    assert!(keep_alive(&asked(1, Some(beat("w_1", 1)))).is_ok());
    assert!(keep_alive(&asked(u64::MAX, Some(beat("w_1", 1)))).is_ok());
    assert_eq!(fields(keep_alive(&asked(0, Some(beat("w_1", 1))))), ["tag"]);
    assert_eq!(fields(keep_alive(&asked(1, None))), ["heartbeat"]);
    assert_eq!(fields(keep_alive(&asked(0, None))), ["tag", "heartbeat"]);
    assert_eq!(fields(keep_alive(&asked(0, Some(beat("", 0))))), ["tag", "consumer_id", "epoch"]);
}

#[test]
fn an_answer_repeats_the_identity_but_no_consumer_that_is_none() {
    let asked = |consumer: &str| {
        let heartbeat = Some(beat(consumer, 7));
        About::asked(&v1::KeepAliveRequest { tag: 3, heartbeat })
    };
    let about = |consumer: &str| About { tag: 3, consumer: consumer.into(), epoch: 7 };
    assert_eq!(asked("w_1"), about("w_1"));
    assert_eq!(asked(&"w".repeat(257)), about(""));
    assert_eq!(asked("\0"), about(""));
}

#[test]
fn an_answer_to_the_tag_of_pushes_names_no_claim() {
    let about = About::asked(&v1::KeepAliveRequest { tag: 0, heartbeat: Some(beat("w_1", 7)) });
    assert_eq!(about, About { tag: 0, consumer: String::new(), epoch: 0 });
}
