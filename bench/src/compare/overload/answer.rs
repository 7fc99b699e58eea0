//! What a call was answered, from the headers and the message of its stream, and whether that is
//! what the contract says.

use anyhow::{Context, Result, bail, ensure};
use claim_proto::v1::MintResponse;
use loona_hpack::Decoder;
use prost::Message;
use std::collections::HashMap;
use tonic::codegen::http::{HeaderMap, HeaderName, HeaderValue};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Bytes before each message of gRPC: a flag and a length.
const PREFIX_BYTES: usize = 5;
/// Refusals differ a little, in the time that they name, so those seen before are known.
const KNOWN_MAX: usize = 10_000;

/// The answer to a mint of a fresh entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Minted,
    Refused(Refused),
    Failed(Code),
}

/// What a refusal for want of room says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// When to come again.
    pub(super) says_when: bool,
    /// That a quota is used up, and not that the server has too much to do.
    pub(super) names_quota: bool,
}

/// Reads the headers of one connection; each block depends on those before.
pub(super) struct Reader {
    decoder: Decoder<'static>,
    /// What these details of a refusal say.
    known: HashMap<Vec<u8>, Refused>,
}

/// What headers or trailers say.
#[derive(Default)]
struct Said {
    status: Option<Code>,
    details: Option<Vec<u8>>,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self { decoder: Decoder::new(), known: HashMap::new() }
    }

    /// Reads a block of headers that does not end its stream.
    pub(super) fn headers(&mut self, block: &[u8]) -> Result<()> {
        let said = self.read(block)?;
        ensure!(said.status.is_none(), "a status before the end");
        Ok(())
    }

    /// Reads the block that ends a stream on which this message came.
    pub(super) fn end(&mut self, block: &[u8], message: &[u8]) -> Result<Answer> {
        let said = self.read(block)?;
        match said.status.context("a stream without a status")? {
            Code::Ok => minted(message),
            Code::ResourceExhausted => {
                let details = said.details.context("a refusal without details")?;
                Ok(Answer::Refused(self.refused(details)?))
            }
            code => Ok(Answer::Failed(code)),
        }
    }

    fn refused(&mut self, details: Vec<u8>) -> Result<Refused> {
        if let Some(known) = self.known.get(&details) {
            return Ok(*known);
        }
        ensure!(self.known.len() < KNOWN_MAX, "ever other details of refusals");
        let mut headers = HeaderMap::new();
        headers.insert("grpc-status", HeaderValue::from_static("8"));
        headers.insert(
            HeaderName::from_static("grpc-status-details-bin"),
            HeaderValue::from_bytes(&details)?,
        );
        let status = Status::from_header_map(&headers).context("a status")?;
        let info = status.get_details_error_info().context("a reason")?;
        ensure!(["OVERLOADED", "QUOTA_EXCEEDED"].contains(&info.reason.as_str()), "{info:?}");
        let says_when = super::super::call::says_when(&status);
        let refused = Refused { says_when, names_quota: info.reason == "QUOTA_EXCEEDED" };
        self.known.insert(details, refused);
        Ok(refused)
    }

    fn read(&mut self, block: &[u8]) -> Result<Said> {
        let mut said = Said::default();
        let read = self.decoder.decode_with_cb(block, |name, value| match name.as_ref() {
            b"grpc-status" => said.status = Some(Code::from_bytes(&value)),
            b"grpc-status-details-bin" => said.details = Some(value.into_owned()),
            _ => {}
        });
        if let Err(error) = read {
            bail!("headers that cannot be read: {error:?}");
        }
        Ok(said)
    }
}

fn minted(message: &[u8]) -> Result<Answer> {
    let message = message.get(PREFIX_BYTES..).context("an empty answer")?;
    let minted = MintResponse::decode(message)?;
    ensure!(minted.claim.context("a claim")?.fence == 1, "a fresh entity");
    Ok(Answer::Minted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use claim_proto::v1::Claim;
    use loona_hpack::Encoder;
    use std::time::Duration;
    use tonic_types::ErrorDetails;

    fn block(encoder: &mut Encoder<'_>, status: &Status) -> Vec<u8> {
        let mut headers = HeaderMap::new();
        status.add_header(&mut headers).unwrap();
        encoder.encode(headers.iter().map(|(n, v)| (n.as_str().as_bytes(), v.as_bytes())))
    }

    #[test]
    fn a_refusal_says_when_or_not() {
        let (mut encoder, mut reader) = (Encoder::new(), Reader::new());
        let code = Code::ResourceExhausted;
        let mut told = ErrorDetails::with_retry_info(Some(Duration::from_millis(5)));
        told.set_error_info("QUOTA_EXCEEDED", "claim.v1", HashMap::new());
        let told = Status::with_error_details(code, "full", told);
        let other = ErrorDetails::with_error_info("OVERLOADED", "claim.v1", HashMap::new());
        let other = Status::with_error_details(code, "full", other);
        for _ in 0..2 {
            for (status, says_when) in [(&told, true), (&other, false)] {
                let block = block(&mut encoder, status);
                let answer = reader.end(&block, &[]).unwrap();
                let refused = Refused { says_when, names_quota: says_when };
                assert_eq!(answer, Answer::Refused(refused));
            }
        }
        let bare = block(&mut encoder, &Status::new(code, "full"));
        assert!(reader.end(&bare, &[]).is_err());
    }

    #[test]
    fn a_mint_counts_if_its_entity_was_fresh() {
        let (mut encoder, mut reader) = (Encoder::new(), Reader::new());
        for (fence, counts) in [(1, true), (2, false)] {
            let claim = Some(Claim { fence, ..Default::default() });
            let message = MintResponse { claim, ..Default::default() }.encode_to_vec();
            let message = [&[0; PREFIX_BYTES][..], &message].concat();
            let trailers = encoder.encode([(&b"grpc-status"[..], &b"0"[..])]);
            assert_eq!(reader.end(&trailers, &message).is_ok(), counts, "{fence}");
        }
    }

    #[test]
    fn any_other_status_is_a_failure_and_none_is_an_error() {
        let (mut encoder, mut reader) = (Encoder::new(), Reader::new());
        let block = block(&mut encoder, &Status::unavailable("away"));
        assert_eq!(reader.end(&block, &[]).unwrap(), Answer::Failed(Code::Unavailable));
        let headers = encoder.encode([(&b":status"[..], &b"200"[..])]);
        assert!(reader.end(&headers, &[]).is_err());
    }
}
