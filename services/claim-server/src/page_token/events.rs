//! Page tokens of listings of events: how far the listing has come, and where it ends.

use super::{digest, of_others, opened, sealed, unknown};
use claims::domain::{ConsumerId, EntityUrl, InvalidField};
use claims::store::{EventCursor, EventFilter, EventQuery, Sequence};
use serde::{Deserialize, Serialize};

/// What is in a token.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    /// Digest of the conditions.
    q: String,
    /// Up to this sequence all has been listed.
    a: i64,
    /// The listing ends with this sequence.
    u: i64,
    /// Up to this sequence events had been pruned when it began.
    p: i64,
}

/// The token of the page behind `cursor`.
pub(crate) fn write(cursor: EventCursor, query: &EventQuery) -> String {
    let EventCursor { after, upto, pruned } = cursor;
    sealed(&Content { q: conditions(query), a: after.get(), u: upto.get(), p: pruned.get() })
}

/// The position that a token names. Refused under `page_token` if it is none of ours, or if it
/// came with other conditions; the size of a page is no condition.
pub(crate) fn read(token: &str, query: &EventQuery) -> Result<EventCursor, InvalidField> {
    let content: Content = opened(token)?;
    if content.q != conditions(query) {
        return Err(of_others());
    }
    let sequence = |number| Sequence::parse("page_token", number).map_err(|_| unknown());
    Ok(EventCursor {
        after: sequence(content.a)?,
        upto: sequence(content.u)?,
        pruned: sequence(content.p)?,
    })
}

fn conditions(query: &EventQuery) -> String {
    let EventQuery { filter, page_size: _, after: _ } = query;
    let EventFilter { tenant, entity, consumer } = filter;
    digest([
        tenant.as_str(),
        entity.as_ref().map_or("", EntityUrl::as_str),
        consumer.as_ref().map_or("", ConsumerId::as_str),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use claims::domain::TenantId;

    fn query() -> EventQuery {
        let filter = EventFilter {
            tenant: TenantId::parse("acme").unwrap(),
            entity: Some(EntityUrl::parse("/chat/a").unwrap()),
            consumer: None,
        };
        EventQuery { filter, page_size: 100, after: None }
    }

    fn cursor() -> EventCursor {
        let sequence = |number| Sequence::parse("sequence", number).unwrap();
        EventCursor { after: sequence(7), upto: sequence(i64::MAX), pruned: sequence(3) }
    }

    #[test]
    fn a_token_leads_back_to_its_position_in_pages_of_any_size() {
        let token = write(cursor(), &query());
        assert_eq!(read(&token, &query()), Ok(cursor()));
        assert_eq!(read(&token, &EventQuery { page_size: 7, ..query() }), Ok(cursor()));
    }

    #[test]
    fn a_token_is_refused_with_other_conditions() {
        let token = write(cursor(), &query());
        let tenant = TenantId::parse("other").unwrap();
        let others = [
            EventFilter { tenant, ..query().filter },
            EventFilter { entity: None, ..query().filter },
            EventFilter { entity: Some(EntityUrl::parse("/b").unwrap()), ..query().filter },
            EventFilter { consumer: Some(ConsumerId::parse("w").unwrap()), ..query().filter },
        ];
        for filter in others {
            let other = EventQuery { filter, ..query() };
            assert_eq!(read(&token, &other).unwrap_err().field, "page_token", "{other:?}");
        }
    }

    #[test]
    fn a_token_that_is_none_of_ours_is_refused() {
        let good = write(cursor(), &query());
        let json = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let q = conditions(&query());
        let bad = [
            "x".to_owned(),
            format!("{good}="),
            good[..good.len() - 4].to_owned(),
            json("{}"),
            json(&format!(r#"{{"q":"{q}","a":-1,"u":1,"p":0}}"#)),
            json(&format!(r#"{{"q":"{q}","a":1,"u":-1,"p":0}}"#)),
            json(&format!(r#"{{"q":"{q}","a":1,"u":1e30,"p":0}}"#)),
            json(&format!(r#"{{"q":"{q}","a":1,"u":1,"p":-1}}"#)),
            json(&format!(r#"{{"q":"{q}","a":1,"u":1}}"#)),
            json(&format!(r#"{{"q":"{q}","a":1,"u":1,"p":0,"x":1}}"#)),
            // Of a listing of claims.
            json(&format!(r#"{{"q":"{q}","t":0,"c":"w","e":1}}"#)),
        ];
        for token in bad {
            assert_eq!(read(&token, &query()).unwrap_err().field, "page_token", "{token}");
        }
    }
}
