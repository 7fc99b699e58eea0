//! One call: who calls what. It is among the extensions of the request, put there when the caller was
//! known, and handlers ask it whether the call is permitted as soon as they know the tenant.

use super::policy::Holding;
use super::roles::{Need, Role, need};
use super::{Access, Caller, Refused};
use crate::calls::method::Method;
use crate::status;
use claims::domain::{Refusal, TenantId};
use http::Extensions;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::time::sleep;
use tonic::Status;

/// How often a stream looks at the clock of the wall, which may be set, for the end of its token.
const CLOCK_INTERVAL: Duration = Duration::from_secs(15);

/// A call and its caller. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    access: Access,
    caller: Caller,
    method: Method,
}

/// What is asked for, as far as it matters who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked<'a> {
    /// Something that takes the role and nothing else.
    Plain,
    /// A claim for that runner.
    Claim {
        /// Empty if it is not named.
        runner: &'a str,
    },
    /// Something about a claim that is held.
    Held {
        /// Whether the request has a write token, right or wrong.
        with_token: bool,
    },
}

impl Call {
    pub(crate) fn new(access: Access, caller: Caller, method: Method) -> Self {
        Self { access, caller, method }
    }

    /// One of anybody, where everybody may do everything.
    #[cfg(test)]
    pub(crate) fn of_anybody(method: Method) -> Self {
        Self::new(Access::open(), Caller::anonymous(), method)
    }

    /// The one that is handled.
    pub(crate) fn of(request: &Extensions) -> Result<Self, Status> {
        // Without it nobody knows who calls; then nothing is permitted.
        request.get::<Self>().cloned().ok_or_else(status::internal)
    }

    /// Who calls.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// `package.Service/Method`.
    pub(crate) fn method(&self) -> &'static str {
        self.method.name()
    }

    /// Whether the caller may have that done in that tenant, by the policy as it stands now.
    pub(crate) fn permit(&self, tenant: &TenantId, asked: Asked<'_>) -> Result<(), Status> {
        let Need::Role(role) = need(self.method) else { return Err(status::internal()) };
        let policy = self.access.policy();
        let (caller, name) = (&self.caller, tenant.as_str());
        let is_permitted = match asked {
            Asked::Plain => policy.permits(caller, role, name),
            Asked::Claim { runner } => policy.permits_mint(caller, name, runner),
            Asked::Held { with_token } => match policy.permits_holding(caller, name) {
                Holding::Refused => false,
                Holding::Free => true,
                Holding::WithToken if with_token => true,
                // Whether there is such a claim is not looked at.
                Holding::WithToken => return Err(status::refused(&Refusal::WriteTokenInvalid)),
            },
        };
        if is_permitted {
            return Ok(());
        }
        let is_of_runner =
            matches!(asked, Asked::Claim { .. }) && policy.permits(caller, role, name);
        let reason = if is_of_runner { "the runner is not the caller's" } else { "no such grant" };
        self.refused(name, role, reason)
    }

    /// Whether the caller may have done what is about all tenants.
    pub(crate) fn permit_everywhere(&self, role: Role) -> Result<(), Status> {
        if self.access.policy().permits_everywhere(&self.caller, role) {
            return Ok(());
        }
        self.refused("*", role, "no such grant")
    }

    /// Whether the caller may be told of that tenant.
    pub(crate) fn is_about(&self, tenant: &TenantId) -> bool {
        let Need::Role(role) = need(self.method) else { return false };
        self.access.policy().permits(&self.caller, role, tenant.as_str())
    }

    /// The standing of the caller for as long as a stream lasts. A stream that is about one tenant
    /// ends with the role in it, too.
    pub(crate) fn standing(&self, tenant: Option<&TenantId>) -> Standing {
        let changes = self.access.0.changes.subscribe();
        Standing { call: self.clone(), tenant: tenant.cloned(), changes }
    }

    fn refused(&self, tenant: &str, role: Role, reason: &str) -> Result<(), Status> {
        let audit = self.access.audit();
        audit.not_permitted(self.caller.name(), tenant, self.method(), role, reason);
        Err(status::not_permitted(role))
    }

    fn check(&self, tenant: Option<&TenantId>) -> Result<(), Status> {
        if !self.access.still_knows(&self.caller) {
            self.access.turned_away(None, self.method(), Refused::Withdrawn);
            return Err(status::unauthenticated());
        }
        tenant.map_or(Ok(()), |tenant| self.permit(tenant, Asked::Plain))
    }
}

/// Whether who opened a stream may still have it.
#[derive(Debug)]
pub(crate) struct Standing {
    call: Call,
    tenant: Option<TenantId>,
    changes: watch::Receiver<()>,
}

impl Standing {
    /// Completes when the caller has lost it. May be dropped and called again.
    pub(crate) async fn lost(&mut self) -> Status {
        if !self.call.access.asks() {
            // Nothing that could be lost, and streams ask with every answer.
            return std::future::pending().await;
        }
        loop {
            if let Err(lost) = self.call.check(self.tenant.as_ref()) {
                return lost;
            }
            tokio::select! {
                changed = self.changes.changed() => {
                    if changed.is_err() {
                        // Nobody changes anything any more.
                        return std::future::pending().await;
                    }
                }
                () = until_next_look(self.call.caller.expires_at()) => {}
            }
        }
    }
}

/// Completes when credentials with that end have to be looked at again.
async fn until_next_look(expires_at: Option<SystemTime>) {
    match expires_at {
        Some(end) => {
            let left = end.duration_since(SystemTime::now()).unwrap_or_default();
            sleep(left.min(CLOCK_INTERVAL)).await;
        }
        None => std::future::pending().await,
    }
}
