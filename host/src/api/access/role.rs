//! What a caller may do. Each operation needs a role; one that stands nowhere needs the highest.

use std::{fmt, str::FromStr};

use axum::http::{Method, StatusCode};

use super::super::problem::Problem;

/// What a token lets do; each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// See everything, change nothing.
    Read,
    /// Pause, resume, run and cancel what is there.
    Operate,
    /// Everything: also what there is.
    Admin,
}

impl Role {
    /// All, the least first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Operate, Self::Admin];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is not one of read, operate, admin"))
    }
}

/// Who asks, once it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api) struct Caller {
    /// The name of the token, or the user of the socket.
    pub(in crate::api) name: String,
    /// What it may do.
    pub(in crate::api) role: Role,
}

/// What each operation needs that is more than reading, and the one that only looks as if it were. A definition says what
/// variables hold, which may be secret.
const NEEDS: &[(&str, &str, Role)] = &[
    ("POST", "/api/v1/backfills/{backfill}/cancel", Role::Operate),
    ("GET", "/api/v1/export", Role::Admin),
    ("POST", "/api/v1/import", Role::Admin),
    ("POST", "/api/v1/jobs", Role::Admin),
    ("PUT", "/api/v1/jobs/{job}", Role::Admin),
    ("PATCH", "/api/v1/jobs/{job}", Role::Admin),
    ("DELETE", "/api/v1/jobs/{job}", Role::Admin),
    ("POST", "/api/v1/jobs/{job}/backfill", Role::Operate),
    ("GET", "/api/v1/jobs/{job}/definition", Role::Admin),
    ("POST", "/api/v1/jobs/{job}/pause", Role::Operate),
    ("POST", "/api/v1/jobs/{job}/reschedule", Role::Admin),
    ("POST", "/api/v1/jobs/{job}/resume", Role::Operate),
    ("POST", "/api/v1/jobs/{job}/run", Role::Operate),
    ("POST", "/api/v1/plan", Role::Admin),
    ("PUT", "/api/v1/plugins/{name}", Role::Admin),
    ("DELETE", "/api/v1/plugins/{name}", Role::Admin),
    ("POST", "/api/v1/plugins/{name}/approve", Role::Admin),
    ("POST", "/api/v1/plugins/{name}/rollback", Role::Admin),
    ("POST", "/api/v1/runs/{run}/cancel", Role::Operate),
    ("POST", "/api/v1/runs/{run}/retry", Role::Operate),
    ("POST", "/api/v1/scheduler/pause", Role::Operate),
    ("POST", "/api/v1/scheduler/reload", Role::Admin),
    ("POST", "/api/v1/scheduler/resume", Role::Operate),
    ("POST", "/api/v1/scheduler/shutdown", Role::Admin),
    ("POST", "/api/v1/triggers/preview", Role::Read),
];

/// What an operation needs. Whoever reads changes nothing.
fn needed(method: &Method, path: &str) -> Option<Role> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let fitting = NEEDS.iter().filter(|(needs, route, _)| method == needs && fits(path, route));
    // A route of plain words comes before one with names in it, as it does where requests are routed.
    let need = fitting.min_by_key(|(_, route, _)| route.matches('{').count()).map(|(_, _, role)| *role);
    need.or(method.is_safe().then_some(Role::Read))
}

/// Whether an operation only reads, also where it is asked with a body.
pub(in crate::api) fn is_read(method: &Method, path: &str) -> bool {
    needed(method, path) == Some(Role::Read)
}

/// Checks that a caller may ask that. What stands nowhere is for those who may do everything.
///
/// # Errors
/// When it may not.
pub(super) fn check(caller: &Caller, method: &Method, path: &str) -> Result<(), Problem> {
    let need = needed(method, path).unwrap_or(Role::Admin);
    if need <= caller.role {
        return Ok(());
    }
    let Caller { name, role } = caller;
    let detail = format!("this needs the role `{need}`, and `{name}` has `{role}`");
    let fix = format!("ask with another token; `clockjack token create NAME --role {need}` makes one");
    Err(Problem::new(StatusCode::FORBIDDEN, "access.role", detail, fix))
}

/// Whether an address is one of a route's, whose names stand in braces.
fn fits(path: &str, route: &str) -> bool {
    let (mut parts, mut places) = (path.split('/'), route.split('/'));
    loop {
        match (parts.next(), places.next()) {
            (None, None) => return true,
            (Some(part), Some(place)) if part == place || place.starts_with('{') && !part.is_empty() => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::router::document;

    /// A route that is new stands in the table, or this fails: nobody is let in or kept out by accident.
    #[test]
    fn every_operation_needs_a_role() {
        let document = serde_json::to_value(document()).unwrap();
        let mut missing = Vec::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, _) in operations.as_object().unwrap() {
                let known: Result<Method, _> = method.to_uppercase().parse();
                if let Ok(known) = known
                    && needed(&known, path).is_none()
                {
                    missing.push(format!("{} {path}", method.to_uppercase()));
                }
            }
        }
        assert!(missing.is_empty(), "say in `NEEDS` what these need: {missing:#?}");
    }

    #[test]
    fn roles_hold_those_before_them() {
        assert!(Role::Read < Role::Operate && Role::Operate < Role::Admin);
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert!("root".parse::<Role>().is_err());
        assert_eq!(needed(&Method::GET, "/api/v1/anything"), Some(Role::Read));
        for path in ["/api/v1/export", "/api/v1/jobs/a/definition"] {
            assert_eq!(needed(&Method::HEAD, path), Some(Role::Admin), "{path} says what variables hold");
        }
        assert_eq!(needed(&Method::DELETE, "/api/v1/anything"), None);
        assert_eq!(needed(&Method::POST, "/api/v1/jobs/a%2Fb/run"), Some(Role::Operate));
        for path in ["/api/v1/jobs//run", "/api/v1/jobs/a/b/run", "/api/v1/jobs/a/run/", "/api/v1/jobs/run"] {
            assert_eq!(needed(&Method::POST, path), None, "{path}");
        }
    }
}
