//! One delivery: a notice through a channel, with what came back.

use std::time::Duration;

use chrono::{DateTime, Utc};
use clockjack_sandbox::{Outgoing, Reply, SendError, send};
use clockjack_schedule::{
    notify::{Address, Channel, ChannelKind, NamedSecret, WebUrl, Webhook, Words},
    ports::Vault,
    secret::SecretText,
};

use super::{Notice, command, healthchecks, sign};

/// Why a notice has not arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// In words.
    pub why: String,
    /// Whether trying again would bring the same.
    pub is_final: bool,
    /// When the receiver wants to be asked again.
    pub retry_after: Option<Duration>,
}

impl Undelivered {
    fn for_now(why: impl Into<String>) -> Self {
        Self { why: why.into(), is_final: false, retry_after: None }
    }
}

/// Statuses with which a receiver says that it will never take this very message.
const NEVER: [u16; 4] = [400, 410, 413, 422];

/// Tells through a channel, and says what came back.
///
/// # Errors
/// When it has not arrived.
pub async fn deliver(
    channel: &Channel,
    notice: &Notice,
    now: DateTime<Utc>,
    vault: &dyn Vault,
) -> Result<String, Undelivered> {
    match &channel.kind {
        ChannelKind::Webhook(webhook) => {
            let (url, body) = (url_of(&webhook.url, channel.private, vault)?, notice.body());
            let mut headers = headers_of(webhook, vault)?;
            let key = webhook.key.as_ref().map(|key| secret(key, vault)).transpose()?;
            headers.extend(sign::headers(&notice.id, now, &body, key.as_ref()));
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
            post(channel, (&webhook.url, url), headers, body).await
        }
        ChannelKind::Healthchecks(address) => {
            let (url, body) = healthchecks::ping(&url_of(address, channel.private, vault)?, notice);
            let headers = vec![("content-type".to_owned(), "text/plain; charset=utf-8".to_owned())];
            post(channel, (address, url), headers, body).await
        }
        ChannelKind::Command(program) => {
            command::run(program, notice, channel.timeout).await.map_err(Undelivered::for_now)
        }
    }
}

async fn post(
    channel: &Channel,
    (address, url): (&Address, WebUrl),
    headers: Vec<(String, String)>,
    body: String,
) -> Result<String, Undelivered> {
    let host = url.authority.host.to_string();
    let message = Outgoing { url, private: channel.private, headers, body, timeout: channel.timeout };
    match send(message).await {
        Ok(reply) => judge(&reply),
        Err(error) => {
            let is_final = matches!(error, SendError::Header(_));
            Err(Undelivered { why: without_host(error.to_string(), &host, address), is_final, retry_after: None })
        }
    }
}

/// What went wrong, without the name of a host that is a part of a secret: some receivers know who tells them by that name.
fn without_host(why: String, host: &str, address: &Address) -> String {
    match address {
        Address::Url(_) => why,
        Address::Secret(secret) => why.replace(host, &format!("(secret {})", secret.name)),
    }
}

/// A success is what HTTP calls one. A redirect is none: it would lead somewhere that nobody has written.
fn judge(reply: &Reply) -> Result<String, Undelivered> {
    let Reply { status, retry_after, text } = reply;
    if (200..300).contains(status) {
        return Ok(format!("status {status}"));
    }
    let said = if text.is_empty() { String::new() } else { format!(": {text}") };
    let redirect = if (300..400).contains(status) { " (redirects are not followed)" } else { "" };
    Err(Undelivered {
        why: format!("status {status}{redirect}{said}"),
        is_final: NEVER.contains(status),
        retry_after: *retry_after,
    })
}

fn secret(secret: &NamedSecret, vault: &dyn Vault) -> Result<SecretText, Undelivered> {
    let read = vault.read(&secret.source);
    read.map_err(|problem| Undelivered::for_now(format!("the secret `{}`: {problem}", secret.name)))
}

/// A URL that is a secret is checked as it is read; nothing of it is told.
fn url_of(address: &Address, private: bool, vault: &dyn Vault) -> Result<WebUrl, Undelivered> {
    let named = match address {
        Address::Url(url) => return Ok(url.clone()),
        Address::Secret(named) => named,
    };
    let text = secret(named, vault)?;
    let misfit = |what: String| Undelivered::for_now(format!("the secret `{}` is no URL to tell: {what}", named.name));
    let url = WebUrl::parse(text.reveal().trim())
        .map_err(|_fault| misfit("it has to begin with `https://` and a host, and to hold nothing else".to_owned()))?;
    match url.check(private) {
        Ok(()) => Ok(url),
        Err((_, fix)) => Err(misfit(format!("it leads to this machine or its network, or has no TLS; {fix}"))),
    }
}

fn headers_of(webhook: &Webhook, vault: &dyn Vault) -> Result<Vec<(String, String)>, Undelivered> {
    let header = |(name, words): (&String, &Words)| {
        let value = match words {
            Words::Text(text) => text.clone(),
            Words::Secret(named) => secret(named, vault)?.reveal().to_owned(),
        };
        Ok((name.clone(), value))
    };
    webhook.headers.iter().map(header).collect()
}

#[cfg(test)]
mod tests {
    use clockjack_schedule::secret::SecretSource;

    use super::*;

    #[test]
    fn the_host_of_a_secret_is_not_told() {
        let why = || "the host `t0ken.hooks.example` was not found: t0ken.hooks.example is unknown".to_owned();
        let url = WebUrl::parse("https://t0ken.hooks.example/").unwrap();
        let host = url.authority.host.to_string();
        let named = NamedSecret { name: "hc-url".parse().unwrap(), source: SecretSource::Env("HC_URL".into()) };
        let told = without_host(why(), &host, &Address::Secret(named));
        assert_eq!(told, "the host `(secret hc-url)` was not found: (secret hc-url) is unknown");
        assert_eq!(without_host(why(), &host, &Address::Url(url)), why());
    }

    #[test]
    fn what_a_receiver_will_never_take_is_given_up_and_the_rest_is_tried_again() {
        let reply = |status| Reply { status, retry_after: Some(Duration::from_secs(7)), text: "no".to_owned() };
        assert_eq!(judge(&reply(204)), Ok("status 204".to_owned()));
        for (status, is_final) in
            [(301, false), (400, true), (401, false), (404, false), (410, true), (429, false), (503, false)]
        {
            let undelivered = judge(&reply(status)).unwrap_err();
            assert_eq!(undelivered.is_final, is_final, "{status}");
            assert!(
                undelivered.why.contains(&status.to_string()) && undelivered.why.ends_with(": no"),
                "{undelivered:?}"
            );
            assert_eq!(undelivered.retry_after, Some(Duration::from_secs(7)));
        }
    }
}
