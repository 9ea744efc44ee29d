//! Reading `notifications`, and the channels that a job's `notify` names.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    sync::Arc,
};

use super::{
    document::Document,
    fields::{self, Fields},
    findings::Findings,
    foreign::{self, Place},
    grants::required,
    names::Names,
    node::{Entry, Node, Value},
    resolve::{ResolveOptions, folder_of},
    resolved::HostSettings,
    scalar,
    secrets::SecretTable,
    wording,
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Source, Span, did_you_mean},
    egress::{self, EgressRule, HttpRule, Methods},
    id::ChannelName,
    notify::{
        Address, Channel, ChannelKind, Channels, LocalProgram, NamedSecret, Notify, Occasion, Occasions, TIMEOUT_MAX,
        TIMEOUT_OF_COMMANDS, TIMEOUT_OF_HTTP, TooLong, WebUrl, Webhook, Words,
    },
};

/// Most channels of one manifest: each has a queue of its own.
const CHANNELS_MAX: usize = 100;

/// Most channels of one job.
const NOTIFY_MAX: usize = 20;

/// Most headers of a webhook.
const HEADERS_MAX: usize = 20;

/// Most words of a command, and the most bytes of one.
const ARGV_MAX: usize = 100;
const ARG_BYTES_MAX: usize = 4_096;

/// Most failures in a row that can be waited for.
const FAILURES_MAX: u32 = 1_000;

/// Headers that the sender writes itself, or that would change where the request ends.
const OWN_HEADERS: [&str; 9] =
    ["host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect"];

/// All channels of all sources.
pub(super) struct ChannelTable {
    pub(super) channels: Channels,
    /// Where each stands.
    pub(super) places: BTreeMap<ChannelName, Span>,
    names: Names,
}

/// What channels are read with.
struct Reader<'a> {
    secrets: &'a SecretTable,
    options: &'a ResolveOptions<'a>,
    /// What an included file may not go beyond.
    egress: Option<&'a [EgressRule]>,
}

impl ChannelTable {
    pub(super) fn read(
        documents: &[Document<'_>],
        (secrets, host): (&SecretTable, &HostSettings),
        options: &ResolveOptions<'_>,
        sources: &[Source],
        findings: &mut Findings,
    ) -> Self {
        let written = || documents.iter().flat_map(|document| document.notifications);
        let names = Names::new(written().map(|entry| entry.key.as_str()), options.has_all(documents, sources));
        let mut table = Self { channels: BTreeMap::new(), places: BTreeMap::new(), names };
        let reader = Reader { secrets, options, egress: host.egress.as_deref() };
        let mut first_seen: BTreeMap<&str, Span> = BTreeMap::new();
        for entry in written() {
            let mut diagnostics = Diagnostics::default();
            if let Some(first) = first_seen.get(entry.key.as_str()) {
                diagnostics.push(duplicate(entry, *first, sources));
            } else if first_seen.len() == CHANNELS_MAX {
                let message = format!("the manifest has more than {CHANNELS_MAX} channels");
                let error = Diagnostic::error("manifest.range", entry.key_span, message);
                diagnostics.push(error.fix("let several jobs share a channel"));
                findings.take(diagnostics);
                break;
            } else {
                first_seen.insert(&entry.key, entry.key_span);
                let name = channel_name(entry, &mut diagnostics);
                if let (Some(name), Some(channel)) = (name, reader.channel(entry, &mut diagnostics)) {
                    table.places.insert(name.clone(), entry.key_span);
                    table.channels.insert(name, channel);
                }
            }
            findings.take(diagnostics);
        }
        table
    }

    /// Reads `notify`: names, or a map from a name to what is told there.
    pub(super) fn read_notify(&self, node: &Node, diagnostics: &mut Diagnostics) -> Arc<[Notify]> {
        let mut read: Vec<Notify> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut add = |name: Option<ChannelName>, at: &Node, on, diagnostics: &mut Diagnostics| {
            let Some(channel) = name else { return };
            if !seen.insert(channel.clone()) {
                let message = format!("`notify` names the channel `{channel}` twice");
                diagnostics.push(Diagnostic::error("manifest.value", at.span, message).fix("keep one of them"));
            } else if read.len() < NOTIFY_MAX {
                read.push(Notify { channel, on });
            } else {
                let message = format!("`notify` names more than {NOTIFY_MAX} channels");
                let error = Diagnostic::error("manifest.range", at.span, message);
                diagnostics.push(error.fix("let one channel tell several people"));
            }
        };
        let Some(entries) = node.as_map() else {
            for item in node.as_one_or_many().iter().take(NOTIFY_MAX + 1) {
                let name = fields::text(item, diagnostics).and_then(|text| self.find(text, item, diagnostics));
                add(name, item, None, diagnostics);
            }
            return read.into();
        };
        for entry in entries.iter().filter(|entry| !entry.key.starts_with("x-")).take(NOTIFY_MAX + 1) {
            let at = Node { span: entry.key_span, ..Node::clone(&entry.value) };
            let name = self.find(&entry.key, &at, diagnostics);
            let on = narrowed(entry, diagnostics);
            add(name, &at, on, diagnostics);
        }
        read.into()
    }

    fn find(&self, text: &str, node: &Node, diagnostics: &mut Diagnostics) -> Option<ChannelName> {
        if self.names.contains(text) {
            // A name that breaks the rule was told where it is defined.
            return text.parse().ok();
        }
        let name = text.parse::<ChannelName>().map_or_else(|_misfit| "ops".to_owned(), |name| name.to_string());
        let or = format!("add it at the top: `notifications: {{ {name}: {{ webhook: \"https://hooks.acme.dev\" }} }}`");
        self.names.refuse(("manifest.unknown_channel", "channel"), node, text, or, diagnostics)
    }
}

/// What a job wants of a channel, where it says that.
fn narrowed(entry: &Entry, diagnostics: &mut Diagnostics) -> Option<Occasions> {
    if entry.value.value == Value::Null {
        return None;
    }
    let mut fields = Fields::open(&entry.value, format!("`{}` of `notify`", entry.key), diagnostics)?;
    let on = fields.get("on").and_then(|node| occasions(node, diagnostics));
    fields.finish_translated(|key| foreign::answer(Place::Notify, key), diagnostics);
    on
}

fn channel_name(entry: &Entry, diagnostics: &mut Diagnostics) -> Option<ChannelName> {
    match entry.key.parse::<ChannelName>() {
        Ok(name) => Some(name),
        Err(error) => {
            let message = format!("channel `{}`: {error}", entry.key);
            diagnostics.reject(Diagnostic::error("manifest.name", entry.key_span, message).fix("rename the channel"))
        }
    }
}

impl Reader<'_> {
    fn channel(&self, entry: &Entry, diagnostics: &mut Diagnostics) -> Option<Channel> {
        let before = diagnostics.n_errors();
        let subject = format!("channel `{}`", entry.key);
        let mut fields = Fields::open(&entry.value, subject.clone(), diagnostics)?;
        let is_included = self.options.n_named <= entry.key_span.source;
        let private_node = fields.get("private");
        let private = private_node.and_then(|node| fields::boolean(node, diagnostics)).unwrap_or_default();
        let (webhook, healthchecks, command) =
            (fields.get("webhook"), fields.get("healthchecks"), fields.get("command"));
        let on = fields.get("on").map(|node| occasions(node, diagnostics));
        let timeout = fields.get("timeout").map(|node| timeout(node, diagnostics));
        if let Some(node) = private_node.filter(|_| private && is_included) {
            let message = "`private` stands in an included file: who starts the host says what lies in its network";
            let error = Diagnostic::error("manifest.denied", node.span, message);
            diagnostics.push(error.fix("move the channel to a file that is named with `-f`"));
        }
        fields.finish_translated(|key| foreign::answer(Place::Channel, key), diagnostics);
        let kind = match (webhook, healthchecks, command) {
            (Some(node), None, None) => self.webhook(node, private, is_included, diagnostics).map(ChannelKind::Webhook),
            (None, Some(node), None) => {
                self.address(node, private, is_included, diagnostics).map(ChannelKind::Healthchecks)
            }
            (None, None, Some(node)) => command_of(node, is_included, diagnostics).map(|argv| {
                let folder = folder_of(entry.key_span, self.options);
                let secret_variables = self.secrets.variables();
                ChannelKind::Command(LocalProgram { argv, folder: folder.into(), secret_variables })
            }),
            (None, None, None) => {
                let message = format!("{subject} does not say how it tells");
                let error = Diagnostic::error("manifest.missing_key", entry.key_span, message);
                diagnostics.reject(error.fix("write `webhook: URL`, `healthchecks: URL` or `command: [PROGRAM]`"))
            }
            _ => {
                let message = format!("{subject} tells in more than one way");
                let error = Diagnostic::error("manifest.value", entry.key_span, message);
                diagnostics.reject(error.fix("keep one of `webhook`, `healthchecks` and `command`"))
            }
        }?;
        if before < diagnostics.n_errors() {
            return None;
        }
        let (usual_on, usual_timeout) = match kind {
            ChannelKind::Webhook(_) => (Occasions::usual(), TIMEOUT_OF_HTTP),
            ChannelKind::Healthchecks(_) => (Occasions::of_healthchecks(), TIMEOUT_OF_HTTP),
            ChannelKind::Command(_) => (Occasions::usual(), TIMEOUT_OF_COMMANDS),
        };
        let (on, timeout) = (on.unwrap_or(Some(usual_on))?, timeout.unwrap_or(Some(usual_timeout))?);
        Some(Channel { kind, on, timeout, private })
    }

    /// A URL, or a map with one.
    fn webhook(&self, node: &Node, private: bool, is_included: bool, found: &mut Diagnostics) -> Option<Webhook> {
        if node.as_map().is_none() || is_secret(node) {
            let url = self.address(node, private, is_included, found)?;
            return Some(Webhook { url, key: None, headers: BTreeMap::new() });
        }
        let mut fields = Fields::open(node, "`webhook`", found)?;
        let url = required(&mut fields, "url", "whom it is sent to, as in `https://hooks.acme.dev/x`", found);
        let key = fields.get("secret").map(|node| self.secret(node, found));
        let headers = fields.open_inner("headers", found).map(|headers| self.headers(&headers, found));
        fields.finish_translated(|key| foreign::answer(Place::Webhook, key), found);
        let url = self.address(url?, private, is_included, found)?;
        Some(Webhook { url, key: key.map_or(Some(None), |key| key.map(Some))?, headers: headers.unwrap_or_default() })
    }

    /// A URL, `{ url: URL }`, or `{ secret: NAME }`.
    fn address(&self, node: &Node, private: bool, is_included: bool, found: &mut Diagnostics) -> Option<Address> {
        if node.as_map().is_none() {
            let text = fields::text(node, found)?;
            let url = match WebUrl::parse(text) {
                Ok(url) => url,
                Err(fault) => {
                    return found.reject(Diagnostic::error("manifest.url", node.span, fault.message).fix(fault.fix));
                }
            };
            if let Err((message, fix)) = url.check(private) {
                return found.reject(Diagnostic::error("manifest.url", node.span, message).fix(fix));
            }
            self.within_ceiling(&url, node, is_included, found)?;
            return Some(Address::Url(url));
        }
        let mut fields = Fields::open(node, "the address of a channel", found)?;
        let (url, secret) = (fields.get("url"), fields.get("secret"));
        fields.finish_translated(|key| foreign::answer(Place::Webhook, key), found);
        match (url, secret) {
            (Some(url), None) => self.address(url, private, is_included, found),
            (None, Some(secret)) if is_included && self.egress.is_some() => {
                let message = "a secret URL stands in an included file, and cannot be held against `host.egress`";
                let error = Diagnostic::error("manifest.denied", secret.span, message);
                found.reject(error.fix("move the channel to a file that is named with `-f`"))
            }
            (None, Some(secret)) => self.secret(secret, found).map(Address::Secret),
            (Some(_), Some(_)) | (None, None) => {
                let error = Diagnostic::error("manifest.missing_key", node.span, "the address is `url` or `secret`");
                found.reject(error.fix("write the URL alone, or `{ secret: NAME }` where it is one"))
            }
        }
    }

    /// An included file may be somebody else's: what it tells goes no further than what its jobs may be granted. Who starts
    /// the host may tell whom they like.
    fn within_ceiling(&self, url: &WebUrl, node: &Node, is_included: bool, found: &mut Diagnostics) -> Option<()> {
        let Some(egress) = self.egress.filter(|_| is_included) else { return Some(()) };
        let path = url.path.trim_end_matches('/');
        let origin = format!("{}://{}:{}", url.scheme.as_str(), url.authority.host, url.port());
        let rule = HttpRule::parse(&format!("{origin}{path}")).or_else(|_path| HttpRule::parse(&origin)).ok()?;
        let rule = HttpRule { methods: Methods::NONE.with("POST")?, ..rule };
        if egress::allows_http(egress, &rule) {
            return Some(());
        }
        let message = format!("`{url}` is more than `host.egress` lets files have that are included");
        let error = Diagnostic::error("manifest.denied", node.span, message);
        found.reject(error.fix("move the channel to a file that is named with `-f`"))
    }

    fn secret(&self, node: &Node, diagnostics: &mut Diagnostics) -> Option<NamedSecret> {
        self.secrets.find(node, diagnostics).map(|(name, source)| NamedSecret { name, source })
    }

    fn headers(&self, headers: &Fields<'_>, diagnostics: &mut Diagnostics) -> BTreeMap<String, Words> {
        let mut read = BTreeMap::new();
        for Entry { key, key_span, value } in headers.all().filter(|entry| !entry.key.starts_with("x-x-")) {
            let name = key.to_ascii_lowercase();
            if let Some((message, fix)) = header_fault(&name, read.len()) {
                diagnostics.push(Diagnostic::error("manifest.value", *key_span, message).fix(fix));
                continue;
            }
            let words = if is_secret(value) {
                value.as_map().and_then(|entries| self.secret(&entries[0].value, diagnostics)).map(Words::Secret)
            } else {
                fields::text(value, diagnostics).and_then(|text| header_value(text, value, diagnostics))
            };
            read.extend(words.map(|words| (name, words)));
        }
        read
    }
}

/// Whether it is `{ secret: NAME }` and nothing else.
fn is_secret(node: &Node) -> bool {
    node.as_map().is_some_and(|entries| entries.len() == 1 && entries[0].key == "secret")
}

fn header_fault(name: &str, n_read: usize) -> Option<(String, &'static str)> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || 100 < name.len() || !name.bytes().all(is_token) {
        return Some((format!("`{name}` is not the name of a header"), "write letters, digits and `-`"));
    }
    if OWN_HEADERS.contains(&name) || name.starts_with("webhook-") {
        return Some((format!("the header `{name}` is written by the host"), "remove it"));
    }
    (HEADERS_MAX <= n_read).then(|| (format!("there are more than {HEADERS_MAX} headers"), "remove some"))
}

fn header_value(text: &str, node: &Node, diagnostics: &mut Diagnostics) -> Option<Words> {
    if text.len() <= ARG_BYTES_MAX && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return Some(Words::Text(text.to_owned()));
    }
    let error = Diagnostic::error("manifest.value", node.span, "a header is one line of ASCII");
    diagnostics.reject(error.fix("write it on one line, with at most 4096 characters"))
}

fn command_of(node: &Node, is_included: bool, diagnostics: &mut Diagnostics) -> Option<Arc<[String]>> {
    if is_included {
        let message = "`command` stands in an included file: a program of this machine is for who starts the host";
        let error = Diagnostic::error("manifest.denied", node.span, message);
        return diagnostics.reject(error.fix("move the channel to a file that is named with `-f`"));
    }
    if node.as_text().is_some_and(|text| text.contains(' ')) {
        let error = Diagnostic::error("manifest.type", node.span, "`command` is a program and its arguments, no line");
        return diagnostics.reject(error.fix("write a list, such as `command: [/usr/bin/logger, -t, jobs]`"));
    }
    let words: Vec<_> = fields::texts(node, diagnostics).into_iter().map(str::to_owned).collect();
    let fits = |word: &String| word.len() <= ARG_BYTES_MAX && !word.contains('\0');
    if words.first().is_none_or(String::is_empty) || ARGV_MAX < words.len() || !words.iter().all(fits) {
        let message = format!("a command has 1 to {ARGV_MAX} words of at most {ARG_BYTES_MAX} bytes");
        let error = Diagnostic::error("manifest.value", node.span, message);
        return diagnostics.reject(error.fix("write a list, such as `command: [/usr/bin/logger, -t, jobs]`"));
    }
    Some(words.into())
}

fn timeout(node: &Node, diagnostics: &mut Diagnostics) -> Option<std::time::Duration> {
    let timeout = scalar::positive_duration(node, diagnostics)?;
    if TIMEOUT_MAX < timeout {
        let most = scalar::show_duration(TIMEOUT_MAX);
        let message = format!("a delivery may take {most} at most");
        return diagnostics
            .reject(Diagnostic::error("manifest.range", node.span, message).fix(format!("write `{most}`")));
    }
    Some(timeout)
}

/// Reads `on`: words, and maps of one word and its value.
fn occasions(node: &Node, diagnostics: &mut Diagnostics) -> Option<Occasions> {
    let before = diagnostics.n_errors();
    let mut on = Occasions::NONE;
    for item in node.as_one_or_many() {
        let Some(entries) = item.as_map() else {
            if let Some(occasion) = word(item, diagnostics) {
                on = on.with(occasion);
            }
            continue;
        };
        for entry in entries {
            match entry.key.as_str() {
                "failures" => {
                    let n = fields::integer(&entry.value, 1..=FAILURES_MAX, diagnostics);
                    on.failures = n.and_then(NonZeroU32::new);
                }
                "late" => on.late = scalar::positive_duration(&entry.value, diagnostics),
                "too_long" => {
                    on.too_long = scalar::positive_duration(&entry.value, diagnostics).map(TooLong::After);
                }
                other => {
                    let message = format!("`{other}` takes no value in `on`");
                    let error = Diagnostic::error("manifest.value", entry.key_span, message);
                    let near = did_you_mean(other, ["failures", "late", "too_long"]);
                    diagnostics.push(error.fix(near.map_or_else(
                        || "a value have `failures: 3`, `late: 5m` and `too_long: 10m`".to_owned(),
                        |near| format!("did you mean `{near}`?"),
                    )));
                }
            }
        }
    }
    if before == diagnostics.n_errors() && on == Occasions::NONE {
        let error = Diagnostic::error("manifest.value", node.span, "`on` is empty: nothing would be told");
        return diagnostics.reject(error.fix("write `on: [failure, recovery]`, or remove the channel"));
    }
    (before == diagnostics.n_errors()).then_some(on)
}

fn word(node: &Node, diagnostics: &mut Diagnostics) -> Option<Occasion> {
    if node.as_text() == Some("failures") {
        let error = Diagnostic::error("manifest.value", node.span, "`failures` says how many in a row");
        return diagnostics.reject(error.fix("write `{ failures: 3 }`, or `failure` for each of them"));
    }
    let words = Occasion::ALL.map(|occasion| (occasion.as_str(), occasion));
    fields::one_of(node, &words, diagnostics)
}

fn duplicate(entry: &Entry, first: Span, sources: &[Source]) -> Diagnostic {
    let message = format!("channel `{}` is defined twice: here and at {}", entry.key, wording::place(first, sources));
    Diagnostic::error("manifest.duplicate_channel", entry.key_span, message)
        .fix("rename or remove one of them; files that are read together share their names")
}
