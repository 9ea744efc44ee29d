//! Signatures as Standard Webhooks has them: whoever has the key can tell that a message came from this host, is whole, and
//! is not an old one that somebody repeats.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use clockjack_schedule::secret::SecretText;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// What keys begin with that are written in base64.
const PREFIX: &str = "whsec_";

/// The headers of a message: its id, its time, and its signature where there is a key.
pub(super) fn headers(id: &str, at: DateTime<Utc>, body: &str, key: Option<&SecretText>) -> Vec<(String, String)> {
    let timestamp = at.timestamp().to_string();
    let signature = key.and_then(|key| signature(id, &timestamp, body, key.reveal()));
    let headers = [("webhook-id", Some(id.to_owned())), ("webhook-timestamp", Some(timestamp))];
    let headers = headers.into_iter().chain([("webhook-signature", signature)]);
    headers.filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// `v1,` and the HMAC-SHA256 of `ID.TIMESTAMP.BODY` in base64.
fn signature(id: &str, timestamp: &str, body: &str, key: &str) -> Option<String> {
    // A key in base64 that is none is taken as it is written.
    let bytes = key.strip_prefix(PREFIX).and_then(|rest| STANDARD.decode(rest).ok());
    let bytes = bytes.unwrap_or_else(|| key.as_bytes().to_vec());
    // A key of any length will do for an HMAC.
    let mut mac = Hmac::<Sha256>::new_from_slice(&bytes).ok()?;
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn the_signature_is_that_of_the_specification() {
        let (id, timestamp) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330");
        let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let signed = signature(id, timestamp, "{\"test\": 2432232314}", key);
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }

    #[test]
    fn without_a_key_nothing_is_signed() {
        let at = DateTime::from_timestamp(1_614_265_330, 0).unwrap();
        let names = |key: Option<SecretText>| {
            let headers = headers("a", at, "{}", key.as_ref());
            headers.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(names(None), ["webhook-id", "webhook-timestamp"]);
        assert_eq!(names(Some("k".to_owned().into())), ["webhook-id", "webhook-timestamp", "webhook-signature"]);
    }
}
