//! The tenant that a request names, from its first bytes.

use claims::domain::{DEFAULT_TENANT, NAME_BYTES_MAX};

/// Bytes before the message: a flag, and its length.
const PREFIX_BYTES: usize = 5;
/// The tag of the first field, a string, which is the tenant in every request that is looked at.
const TENANT_TAG: u8 = 0x0a;

/// The tenant of a request that begins with these bytes; none if that cannot be told from them. Fields
/// come in the order of their numbers from everybody who does not want to be difficult, and who does gains
/// nothing by it.
pub(super) fn named_at(begin: &[u8]) -> Option<&str> {
    let (prefix, message) = begin.split_at_checked(PREFIX_BYTES)?;
    // A message that is compressed says nothing yet.
    let [0, length @ ..] = prefix else { return None };
    let message = match message.split_first() {
        None if *length == [0; 4] => return Some(DEFAULT_TENANT),
        None => return None,
        Some((&TENANT_TAG, message)) => message,
        Some(_) => return Some(DEFAULT_TENANT),
    };
    let (length, message) = match message {
        [low @ 0..0x80, rest @ ..] => (usize::from(*low), rest),
        [low, high @ 0..0x80, rest @ ..] => {
            (usize::from(low & 0x7f) | usize::from(*high) << 7, rest)
        }
        _ => return None,
    };
    if length > NAME_BYTES_MAX {
        return None;
    }
    let name = std::str::from_utf8(message.get(..length)?).ok()?;
    Some(if name.is_empty() { DEFAULT_TENANT } else { name })
}

#[cfg(test)]
mod tests {
    use super::*;
    use claim_proto::v1::{
        AuthorizeWriteRequest, DoneRequest, GetClaimRequest, GetEntityRequest, HeartbeatRequest,
        ListClaimEventsRequest, ListClaimsRequest, MintRequest,
    };
    use proptest::prelude::*;
    use prost::Message;

    fn framed(message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).unwrap();
        [&[0], &length.to_be_bytes()[..], message].concat()
    }

    #[test]
    fn every_request_that_is_looked_at_names_its_tenant_first() {
        macro_rules! requests {
            ($($request:ident),*) => {
                [$((stringify!($request), |tenant: &str| {
                    $request { tenant_id: tenant.into(), ..Default::default() }.encode_to_vec()
                })),*]
            };
        }
        type Encode = fn(&str) -> Vec<u8>;
        let requests: [(&str, Encode); 8] = requests![
            MintRequest,
            HeartbeatRequest,
            DoneRequest,
            AuthorizeWriteRequest,
            GetClaimRequest,
            ListClaimsRequest,
            GetEntityRequest,
            ListClaimEventsRequest
        ];
        let long = "t".repeat(NAME_BYTES_MAX);
        for (request, encode) in requests {
            for tenant in ["a", "tenant", &long[..127], &long[..128], &long] {
                assert_eq!(named_at(&framed(&encode(tenant))), Some(tenant), "{request}");
            }
            assert_eq!(named_at(&framed(&encode(""))), Some(DEFAULT_TENANT), "{request}");
        }
    }

    #[test]
    fn a_request_that_names_none_is_of_the_default_tenant() {
        let request = MintRequest { entity_url: "/chat/a".into(), ..Default::default() };
        assert_eq!(named_at(&framed(&request.encode_to_vec())), Some(DEFAULT_TENANT));
        assert_eq!(named_at(&framed(&[TENANT_TAG, 0])), Some(DEFAULT_TENANT));
    }

    #[test]
    fn what_cannot_be_told_is_not_guessed() {
        let whole = framed(
            &MintRequest { tenant_id: "tenant".into(), ..Default::default() }.encode_to_vec(),
        );
        for length in 0..whole.len() {
            assert_eq!(named_at(&whole[..length]), None, "{length}");
        }
        let compressed = [&[1], &whole[1..]].concat();
        assert_eq!(named_at(&compressed), None);
        let cases: [&[u8]; 4] = [
            &[TENANT_TAG, 0xff, 0xff, 1],
            &[TENANT_TAG, 0x81, 0x02, b't'],
            &[TENANT_TAG, 1, 0xff],
            &[TENANT_TAG],
        ];
        for message in cases {
            assert_eq!(named_at(&framed(message)), None, "{message:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_at_all_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = named_at(&bytes);
        }

        #[test]
        fn what_is_told_is_what_prost_decodes_if_the_tenant_comes_once(tenant in "\\PC{0,40}") {
            let request = MintRequest { tenant_id: tenant.clone(), ..Default::default() };
            let told = named_at(&framed(&request.encode_to_vec())).unwrap().to_owned();
            prop_assert_eq!(told, if tenant.is_empty() { DEFAULT_TENANT.to_owned() } else { tenant });
        }
    }
}
