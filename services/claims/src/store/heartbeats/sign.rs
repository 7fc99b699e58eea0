//! A server's signature of the liveness record (R6).

use super::renew::{Failed, failed};
use super::{Ask, Reply};
use crate::store::connect::round_trip;
use crate::store::error::{StoreError, TransactionError};
use crate::store::lane::{Service, Session};
use crate::store::rows::{from_millis, millis};
use crate::store::statement::Statement;
use crate::store::statements::SignLiveness;
use crate::store::trace;
use diesel_async::RunQueryDsl;
use std::time::Duration;

/// What a server learns from its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The outage grace that stood in the record before, if any.
    pub found_outage_grace: Option<Duration>,
    /// The service resumed with this signature: there was none, or the last one was stale.
    pub resumed: bool,
}

pub(super) async fn sign<S: Service>(
    service: &S,
    session: &mut Session,
    ask: &Ask,
) -> Result<Reply, Failed> {
    let Ask::Sign { outage_grace } = ask else {
        return Err(Failed::For(StoreError::Internal));
    };
    let statement = SignLiveness { outage_grace_ms: millis(*outage_grace), ..Default::default() };
    // A connection that went stale while idle is replaced once; signing twice does no harm.
    for tries_left in [1, 0] {
        let mut c = session.get(service).await.map_err(Failed::For)?;
        let asked = statement.clone();
        let asked = asked.get_result::<(Option<i64>, bool)>(&mut c);
        let signed = round_trip(false, trace::statement(SignLiveness::FILE, asked)).await;
        let error = match signed.and_then(|result| result.map_err(TransactionError::RolledBack)) {
            Ok((found, resumed)) => {
                return Ok(Reply::Signed(Signature {
                    found_outage_grace: found.map(from_millis),
                    resumed,
                }));
            }
            Err(error) => error,
        };
        match failed(session, &error, "the liveness record") {
            Failed::MayRetry if tries_left > 0 => session.discard(),
            other => return Err(other),
        }
    }
    Err(Failed::MayRetry)
}
