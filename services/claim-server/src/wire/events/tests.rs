//! What only the wire knows of events.

use super::*;
use claims::domain::{EntityKey, Epoch, Event, Fence, StreamPath, Timestamp};

fn refused_fields<T: std::fmt::Debug>(refused: Result<T, InvalidFields>) -> Vec<&'static str> {
    refused.unwrap_err().violations().iter().map(|violation| violation.field).collect()
}

fn sequence(number: i64) -> Sequence {
    Sequence::parse("sequence", number).unwrap()
}

/// An event with names of that length.
fn recorded(number: i64, length: usize) -> RecordedEvent {
    let url = format!("/{}", "e".repeat(length));
    let event = Event {
        entity: EntityKey {
            tenant: TenantId::parse("acme").unwrap(),
            url: EntityUrl::parse(&url).unwrap(),
        },
        claim: Some((
            StreamPath::parse(&format!("{url}/main")).unwrap(),
            ConsumerId::parse("w_1").unwrap(),
            Epoch::parse(7).unwrap(),
        )),
        fence: Fence::parse(3).unwrap(),
        event_type: EventType::Expired,
        reason: "lease_lapsed".to_owned(),
        actor: "reaper".into(),
    };
    let occurred_at = Timestamp::from_unix_micros(1_764_580_705_250_000);
    RecordedEvent { sequence: sequence(number), event, occurred_at }
}

#[test]
fn where_a_watch_begins_is_absent_zero_or_a_position() {
    let from = |after_sequence| {
        let asked = v1::WatchClaimEventsRequest { after_sequence, ..Default::default() };
        watch(&asked).map(|watch| watch.from)
    };
    assert_eq!(from(None), Ok(WatchFrom::Now));
    assert_eq!(from(Some(0)), Ok(WatchFrom::Oldest));
    assert_eq!(from(Some(i64::MAX)), Ok(WatchFrom::After(sequence(i64::MAX))));
    for negative in [-1, i64::MIN] {
        assert_eq!(refused_fields(from(Some(negative))), ["after_sequence"]);
    }
}

#[test]
fn all_that_is_wrong_with_a_request_is_named() {
    let (entity_url, consumer_id) = ("no path".to_owned(), "\0".to_owned());
    let asked = v1::ListClaimEventsRequest {
        tenant_id: "\n".to_owned(),
        entity_url: entity_url.clone(),
        consumer_id: consumer_id.clone(),
        page_size: 1_001,
        page_token: "x".to_owned(),
    };
    let fields = ["tenant_id", "entity_url", "consumer_id", "page_size"];
    assert_eq!(refused_fields(list(&asked)), fields);
    let asked = v1::WatchClaimEventsRequest {
        tenant_id: "\n".to_owned(),
        entity_url,
        consumer_id,
        after_sequence: Some(-1),
    };
    let fields = ["tenant_id", "entity_url", "consumer_id", "after_sequence"];
    assert_eq!(refused_fields(watch(&asked)), fields);
}

#[test]
fn an_event_is_told_with_all_that_was_recorded() {
    let told = event(&recorded(5, 1));
    assert_eq!(told.event_time.unwrap().to_string(), "2025-12-01T09:18:25.250Z");
    let expected = v1::ClaimEvent {
        sequence: 5,
        tenant_id: "acme".into(),
        entity_url: "/e".into(),
        stream_path: "/e/main".into(),
        consumer_id: "w_1".into(),
        epoch: 7,
        fence: 3,
        r#type: v1::ClaimEventType::Expired.into(),
        reason: "lease_lapsed".into(),
        actor: "reaper".into(),
        event_time: told.event_time,
    };
    assert_eq!(told, expected);
}

#[test]
fn every_type_of_event_has_the_name_under_which_it_is_stored() {
    for kind in EventType::ALL {
        let name = event_type(kind).as_str_name();
        assert_eq!(name, format!("CLAIM_EVENT_TYPE_{}", kind.as_str().to_uppercase()));
    }
}

#[test]
fn a_page_that_would_be_too_large_ends_earlier_and_the_next_begins_there() {
    let asked = v1::ListClaimEventsRequest { page_size: 1_000, ..Default::default() };
    let mut query = list(&asked).unwrap();
    let all: Vec<RecordedEvent> = (1..=4_000).map(|number| recorded(number, 1_000)).collect();
    let (upto, pruned) = (sequence(4_000), sequence(7));
    let mut told = Vec::new();
    loop {
        let after = query.after.map_or(0, |cursor| usize::try_from(cursor.after.get()).unwrap());
        let events = all[after..all.len()].to_vec();
        let page = listed(&query, &EventPage { events, upto, pruned, next: None });
        // Around each event there are a few bytes more.
        assert!(!page.events.is_empty() && page.encoded_len() < PAGE_BYTES_MAX + 16 * 1_024);
        told.extend(page.events.iter().map(|event| event.sequence));
        if page.next_page_token.is_empty() {
            break;
        }
        let asked =
            v1::ListClaimEventsRequest { page_token: page.next_page_token, ..asked.clone() };
        query = list(&asked).unwrap();
        let cursor = query.after.unwrap();
        assert_eq!((cursor.upto, cursor.pruned), (upto, pruned));
    }
    assert_eq!(told, (1..=4_000).collect::<Vec<i64>>());
}
