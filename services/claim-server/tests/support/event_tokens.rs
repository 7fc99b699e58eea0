//! Page tokens of listings of events: real ones, and all that can be made of them.

use super::Client;
use super::request::FieldValue;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use claim_proto::v1::ListClaimEventsRequest;

/// Tokens of listings with different conditions.
pub(crate) struct EventTokens {
    /// Of a listing of the default tenant, without conditions.
    plain: String,
    /// Of the same events, with conditions or of another tenant.
    foreign: Vec<(&'static str, String)>,
}

impl EventTokens {
    /// Lists events of claims that were minted, one to a page.
    pub(crate) async fn gather(client: &mut Client, entity: &str, consumer: &str) -> Self {
        let mut token_of = async |request: ListClaimEventsRequest| {
            let request = ListClaimEventsRequest { page_size: 1, ..request };
            let page = client.list_claim_events(request).await.expect("a page").into_inner();
            assert_ne!(page.next_page_token, "");
            page.next_page_token
        };
        let plain = token_of(ListClaimEventsRequest::default()).await;
        let of_tenant = ListClaimEventsRequest { tenant_id: "other".into(), ..Default::default() };
        let of_entity = ListClaimEventsRequest { entity_url: entity.into(), ..Default::default() };
        let of_consumer =
            ListClaimEventsRequest { consumer_id: consumer.into(), ..Default::default() };
        let foreign = vec![
            ("of another tenant", token_of(of_tenant).await),
            ("of an entity", token_of(of_entity).await),
            ("of a consumer", token_of(of_consumer).await),
        ];
        Self { plain, foreign }
    }

    /// Tokens that a listing without conditions takes: also forged ones, which show no more than
    /// the listing does.
    pub(crate) fn good(&self) -> Vec<(String, FieldValue)> {
        let mut good = vec![
            ("empty".to_owned(), "".into()),
            ("a real one".to_owned(), self.plain.as_str().into()),
        ];
        for key in ["a", "u"] {
            for sequence in [0, 1, i64::MAX] {
                let forged = self.forged(key, sequence);
                good.push((format!("forged, with {key} = {sequence}"), forged.into()));
            }
        }
        good
    }

    /// Tokens that no listing without conditions takes.
    pub(crate) fn bad(&self) -> Vec<(String, FieldValue)> {
        let plain = &self.plain;
        let mut bad: Vec<(String, FieldValue)> = [
            ("garbage", "garbage".to_owned()),
            ("no base64", "not base64!".to_owned()),
            ("NUL", "\0".to_owned()),
            ("padded", format!("{plain}=")),
            ("cut", plain[..plain.len() - 4].to_owned()),
            ("doubled", format!("{plain}{plain}")),
            ("JSON of another form", URL_SAFE_NO_PAD.encode("{}")),
            ("JSON, deeply nested", URL_SAFE_NO_PAD.encode("[".repeat(100_000))),
            ("many bytes", "A".repeat(1_000_000)),
            ("forged, beyond 64 bits", self.forged("u", 1e300)),
            ("forged, no number", self.forged("a", "1")),
            ("forged, with more in it", self.forged("x", 1)),
        ]
        .into_iter()
        .map(|(what, token)| (what.to_owned(), token.into()))
        .collect();
        for key in ["a", "u"] {
            for sequence in [-1, i64::MIN] {
                let forged = self.forged(key, sequence);
                bad.push((format!("forged, with {key} = {sequence}"), forged.into()));
            }
        }
        for (what, token) in &self.foreign {
            bad.push(((*what).to_owned(), token.as_str().into()));
        }
        bad
    }

    /// The real token with one value changed or added.
    fn forged(&self, key: &str, value: impl Into<serde_json::Value>) -> String {
        let content = URL_SAFE_NO_PAD.decode(&self.plain).expect("base64");
        let mut content: serde_json::Value = serde_json::from_slice(&content).expect("JSON");
        content[key] = value.into();
        URL_SAFE_NO_PAD.encode(content.to_string())
    }
}
