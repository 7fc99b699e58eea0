//! Page tokens: a position in a listing and the conditions it belongs to, as base64url. They are
//! opaque to callers and hold nothing that the page before did not show.
//!
//! Here are those of listings of claims; [`events`] has those of events.

pub(crate) mod events;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use claims::domain::{ConsumerId, EntityUrl, Epoch, InvalidField, RunnerId, Timestamp};
use claims::store::{ClaimCursor, ClaimQuery};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::ops::RangeInclusive;

/// Bytes of the digest that tells one set of conditions from another. It guards against mistakes,
/// not against malice: who forges a token sees no more than the conditions sent with it allow.
const CONDITIONS_BYTES: usize = 12;

/// What is in a token. The names are short because they are sent with every page.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    /// Digest of the conditions.
    q: String,
    /// Microseconds at which the last claim of the page was minted.
    t: i64,
    /// Its consumer.
    c: String,
    /// Its epoch.
    e: i64,
}

/// When a claim can have been minted, in microseconds since 1970: until the end of the year 9999.
/// Beyond that Postgres has no such time.
const CLAIM_TIMES: RangeInclusive<i64> = 0..=253_402_300_799_999_999;

/// The token of the page behind `cursor`.
pub(crate) fn write(cursor: &ClaimCursor, query: &ClaimQuery) -> String {
    let content = Content {
        q: conditions(query),
        t: cursor.claimed_at.unix_micros(),
        c: cursor.consumer.to_string(),
        e: cursor.epoch.get(),
    };
    sealed(&content)
}

/// The position that a token names. Refused under `page_token` if it is none of ours, or if it
/// came with other conditions; the size of a page is no condition.
pub(crate) fn read(token: &str, query: &ClaimQuery) -> Result<ClaimCursor, InvalidField> {
    let content: Content = opened(token)?;
    if content.q != conditions(query) {
        return Err(of_others());
    }
    if !CLAIM_TIMES.contains(&content.t) {
        return Err(unknown());
    }
    Ok(ClaimCursor {
        claimed_at: Timestamp::from_unix_micros(content.t),
        consumer: ConsumerId::parse(&content.c).map_err(|_| unknown())?,
        epoch: Epoch::parse(content.e).map_err(|_| unknown())?,
    })
}

fn conditions(query: &ClaimQuery) -> String {
    let ClaimQuery { tenant, entity, runner, states, lapsed_only, page_size: _, after: _ } = query;
    let names = [
        tenant.as_str(),
        entity.as_ref().map_or("", EntityUrl::as_str),
        runner.as_ref().map_or("", RunnerId::as_str),
        if *lapsed_only { "lapsed" } else { "" },
    ];
    digest(names.into_iter().chain(states.iter().map(|state| state.as_str())))
}

fn digest<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let mut digest = Sha256::new();
    // Each text ends with a zero byte, which no name can hold.
    for text in texts {
        digest.update(text);
        digest.update([0]);
    }
    let digest: [u8; 32] = digest.finalize().into();
    URL_SAFE_NO_PAD.encode(&digest[..CONDITIONS_BYTES])
}

fn sealed(content: &impl Serialize) -> String {
    // Strings and numbers always have a JSON form.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(content).unwrap_or_default())
}

fn opened<T: DeserializeOwned>(token: &str) -> Result<T, InvalidField> {
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| unknown())?;
    serde_json::from_slice(&bytes).map_err(|_| unknown())
}

fn unknown() -> InvalidField {
    InvalidField::new("page_token", "is not a token of this service")
}

fn of_others() -> InvalidField {
    InvalidField::new("page_token", "belongs to a request with other conditions")
}

#[cfg(test)]
mod tests {
    use super::*;
    use claims::domain::{ClaimState, TenantId};

    fn query() -> ClaimQuery {
        ClaimQuery {
            tenant: TenantId::parse("acme").unwrap(),
            entity: Some(EntityUrl::parse("/chat/a").unwrap()),
            runner: None,
            states: vec![ClaimState::Active],
            lapsed_only: false,
            page_size: 100,
            after: None,
        }
    }

    fn cursor() -> ClaimCursor {
        ClaimCursor {
            claimed_at: Timestamp::from_unix_micros(1_764_580_705_000_001),
            consumer: ConsumerId::parse("w_\"ü\"").unwrap(),
            epoch: Epoch::LAST,
        }
    }

    #[test]
    fn a_token_leads_back_to_its_position() {
        let token = write(&cursor(), &query());
        assert_eq!(read(&token, &query()), Ok(cursor()));
    }

    #[test]
    fn a_token_is_good_for_pages_of_another_size() {
        let token = write(&cursor(), &query());
        assert!(read(&token, &ClaimQuery { page_size: 7, ..query() }).is_ok());
    }

    #[test]
    fn a_token_is_refused_with_other_conditions() {
        let token = write(&cursor(), &query());
        let others = [
            ClaimQuery { tenant: TenantId::parse("other").unwrap(), ..query() },
            ClaimQuery { entity: None, ..query() },
            ClaimQuery { entity: Some(EntityUrl::parse("/chat/b").unwrap()), ..query() },
            ClaimQuery { runner: Some(RunnerId::parse("r").unwrap()), ..query() },
            ClaimQuery { states: vec![], ..query() },
            ClaimQuery { lapsed_only: true, ..query() },
        ];
        for other in others {
            assert_eq!(read(&token, &other).unwrap_err().field, "page_token", "{other:?}");
        }
    }

    #[test]
    fn a_token_that_is_none_of_ours_is_refused() {
        let good = write(&cursor(), &query());
        let json = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let q = conditions(&query());
        let bad = [
            "x".to_owned(),
            "not base64!".to_owned(),
            format!("{good}="),
            good[..good.len() - 4].to_owned(),
            json("{}"),
            json("[]"),
            json(&format!(r#"{{"q":"{q}","t":0,"c":"","e":1}}"#)),
            json(&format!(r#"{{"q":"{q}","t":0,"c":"w","e":0}}"#)),
            json(&format!(r#"{{"q":"{q}","t":0,"c":"w","e":1,"x":1}}"#)),
        ];
        for token in bad {
            assert_eq!(read(&token, &query()).unwrap_err().field, "page_token", "{token}");
        }
    }
}
