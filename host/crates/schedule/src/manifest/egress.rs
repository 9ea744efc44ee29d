//! Reading what a job may reach over the network, how its clocks go and where its random numbers come from.

use std::{sync::Arc, time::Duration};

use super::{
    fields::{self, Fields},
    foreign::{self, Place},
    grants::required,
    node::Node,
    parse::parse,
    scalar,
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Severity},
    egress::{self, EgressRule, Endpoint, Fault, HttpRule, METHODS, Methods, NameRule, NetworkGrants},
    job::{CLOCK_RESOLUTION_MAX, Grants},
};

/// Most entries of one list: each request looks through all of them.
const RULES_MAX: usize = 1_000;

/// Reads `http`, `network`, `clock` and `random` of `grants`.
pub(super) fn read(
    fields: &mut Fields<'_>,
    policy: Option<&[EgressRule]>,
    grants: &mut Grants,
    diagnostics: &mut Diagnostics,
) {
    if let Some(node) = fields.get("http") {
        let read = rules(node, diagnostics, http_rule);
        let refused = policy.and_then(|policy| read.iter().find(|rule| !egress::allows_http(policy, rule)));
        if let Some(rule) = refused {
            let is_it = |item: &&Node| http_rule(item, &mut Diagnostics::default()).as_ref() == Some(rule);
            let item = node.as_one_or_many().iter().find(is_it).unwrap_or(node);
            let private = if rule.private { " with `private: true`" } else { "" };
            diagnostics.push(denied(item, &rule.to_string(), private));
        }
        grants.http = read.into();
    }
    let network_node = fields.own("network").map(|entry| &entry.value);
    if let Some(mut network) = fields.open_inner("network", diagnostics) {
        let read = NetworkGrants {
            tcp: network.get("tcp").map_or_else(Vec::new, |node| rules(node, diagnostics, endpoint)),
            udp: network.get("udp").map_or_else(Vec::new, |node| rules(node, diagnostics, endpoint)),
            dns: network.get("dns").map_or_else(Vec::new, |node| rules(node, diagnostics, name_rule)),
        };
        network.finish_translated(|key| foreign::answer(Place::Network, key), diagnostics);
        if let Some(refused) = policy.and_then(|policy| egress::first_refused(policy, &read)) {
            // What comes from the defaults alone is told there.
            network_node.into_iter().for_each(|node| diagnostics.push(denied(node, &refused, "")));
        }
        grants.network = (!read.is_empty()).then(|| Arc::new(read));
    }
    if let Some(mut clock) = fields.open_inner("clock", diagnostics) {
        grants.clock_resolution = clock.get("resolution").and_then(|node| resolution(node, diagnostics));
        clock.finish(diagnostics);
    }
    if let Some(mut random) = fields.open_inner("random", diagnostics) {
        grants.random_seed = random.get("seed").and_then(|node| fields::integer(node, 0..=u64::MAX, diagnostics));
        random.finish(diagnostics);
    }
}

fn denied(node: &Node, refused: &str, private: &str) -> Diagnostic {
    let message = format!("`{refused}`{private} is more than `host.egress` lets jobs have");
    Diagnostic::error("manifest.denied", node.span, message)
        .fix(format!("remove it, or let whoever runs the host write `host: {{ egress: [\"{refused}\"] }}`"))
}

/// Reads `host: { egress: [...] }`.
pub(super) fn read_policy(host: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Vec<EgressRule>> {
    let node = host.get("egress")?;
    let read = rules(node, diagnostics, policy_rule);
    // By half of a policy no grant can be judged.
    (read.len() == node.as_one_or_many().len()).then_some(read)
}

fn policy_rule(node: &Node, diagnostics: &mut Diagnostics) -> Option<EgressRule> {
    let (url, rule) = if node.as_map().is_some() {
        let mut fields = Fields::open(node, "an entry of `egress`", diagnostics)?;
        let url = required(&mut fields, "url", "what jobs may reach, as in `https://*.acme.dev`", diagnostics);
        let private = private(&mut fields, diagnostics);
        fields.finish_translated(|key| foreign::answer(Place::Http, key), diagnostics);
        let url = url?;
        (url, parsed(url, EgressRule::parse, diagnostics)?.with_private(private?))
    } else {
        (node, parsed(node, EgressRule::parse, diagnostics)?)
    };
    checked(url, rule.check(), diagnostics)?;
    Some(rule)
}

/// Reads one entry of `grants.http` that stands alone: a URL, or YAML.
///
/// # Errors
/// In words: what is wrong with it, and what to do.
pub fn parse_http_rule(text: &str) -> Result<HttpRule, String> {
    let (node, mut diagnostics) = parse(0, text);
    let rule = node.and_then(|node| http_rule(&node, &mut diagnostics));
    let fault = diagnostics.all().iter().find(|found| found.severity == Severity::Error);
    match (rule, fault) {
        (Some(rule), None) => Ok(rule),
        (_, Some(fault)) => {
            Err(fault.fix.as_ref().map_or_else(|| fault.message.clone(), |fix| format!("{}; {fix}", fault.message)))
        }
        (None, None) => Err("there is no URL; write `https://api.acme.dev`".to_owned()),
    }
}

/// Reads one rule, as text or as a map.
type ReadRule<T> = fn(&Node, &mut Diagnostics) -> Option<T>;

fn rules<T>(node: &Node, diagnostics: &mut Diagnostics, read: ReadRule<T>) -> Vec<T> {
    let items = node.as_one_or_many();
    if RULES_MAX < items.len() {
        let message = format!("a list of {} entries is longer than {RULES_MAX}", items.len());
        let error = Diagnostic::error("manifest.range", node.span, message);
        diagnostics.push(error.fix("write `*.acme.dev` for all hosts below a name"));
        return Vec::new();
    }
    items.iter().filter_map(|item| read(item, diagnostics)).collect()
}

/// `"https://api.acme.dev"`, or a map with `url`, `methods` and `private`.
fn http_rule(node: &Node, diagnostics: &mut Diagnostics) -> Option<HttpRule> {
    let (url, rule) = if node.as_map().is_some() {
        let mut fields = Fields::open(node, "an entry of `http`", diagnostics)?;
        let url = required(&mut fields, "url", "whom it may reach, as in `https://api.acme.dev`", diagnostics);
        let methods = fields.get("methods").map_or(Some(Methods::ALL), |node| methods(node, diagnostics));
        let private = private(&mut fields, diagnostics);
        fields.finish_translated(|key| foreign::answer(Place::Http, key), diagnostics);
        let url = url?;
        (url, HttpRule { methods: methods?, private: private?, ..parsed(url, HttpRule::parse, diagnostics)? })
    } else {
        (node, parsed(node, HttpRule::parse, diagnostics)?)
    };
    checked(url, rule.check(), diagnostics)?;
    Some(rule)
}

fn endpoint(node: &Node, diagnostics: &mut Diagnostics) -> Option<Endpoint> {
    let (text, private) = to_and_private(node, diagnostics)?;
    let endpoint = Endpoint { private, ..parsed(text, Endpoint::parse, diagnostics)? };
    checked(text, endpoint.check(), diagnostics)?;
    Some(endpoint)
}

fn name_rule(node: &Node, diagnostics: &mut Diagnostics) -> Option<NameRule> {
    let (text, private) = to_and_private(node, diagnostics)?;
    Some(NameRule { private, ..parsed(text, NameRule::parse, diagnostics)? })
}

fn to_and_private<'n>(node: &'n Node, diagnostics: &mut Diagnostics) -> Option<(&'n Node, bool)> {
    if node.as_map().is_none() {
        return Some((node, false));
    }
    let mut fields = Fields::open(node, "an entry of `network`", diagnostics)?;
    let to = required(&mut fields, "to", "whom it may reach, as in `db.internal:5432`", diagnostics);
    let private = private(&mut fields, diagnostics);
    fields.finish_translated(|key| foreign::answer(Place::Endpoint, key), diagnostics);
    Some((to?, private?))
}

fn private(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Option<bool> {
    fields.get("private").map_or(Some(false), |node| fields::boolean(node, diagnostics))
}

fn methods(node: &Node, diagnostics: &mut Diagnostics) -> Option<Methods> {
    let words = METHODS.map(|method| (method, method));
    let mut methods = Methods::NONE;
    for item in node.as_one_or_many() {
        let upper = item.as_text().map(str::to_ascii_uppercase).filter(|upper| item.as_text() != Some(upper));
        if let Some(upper) = upper.filter(|upper| METHODS.contains(&upper.as_str())) {
            let message = format!("`{}` is not one of {}", item.as_text().unwrap_or_default(), METHODS.join(", "));
            return diagnostics
                .reject(Diagnostic::error("manifest.value", item.span, message).fix(format!("write `{upper}`")));
        }
        methods = methods.with(fields::one_of(item, &words, diagnostics)?)?;
    }
    if methods == Methods::NONE {
        let error = Diagnostic::error("manifest.value", node.span, "`methods` is empty: the entry would allow nothing");
        return diagnostics.reject(error.fix("write `methods: [GET]`, or remove the key for every method"));
    }
    Some(methods)
}

/// A rule from its text, with the place of a fault in it.
fn parsed<T>(node: &Node, parse: fn(&str) -> Result<T, Fault>, diagnostics: &mut Diagnostics) -> Option<T> {
    let text = fields::text(node, diagnostics)?;
    match parse(text) {
        Ok(rule) => Some(rule),
        Err(fault) => {
            let span = node.span_within(fault.start, fault.end);
            diagnostics.reject(Diagnostic::error("manifest.egress", span, fault.message).fix(fault.fix))
        }
    }
}

fn checked(node: &Node, check: Result<(), (String, String)>, diagnostics: &mut Diagnostics) -> Option<()> {
    match check {
        Ok(()) => Some(()),
        Err((message, fix)) => diagnostics.reject(Diagnostic::error("manifest.egress", node.span, message).fix(fix)),
    }
}

fn resolution(node: &Node, diagnostics: &mut Diagnostics) -> Option<Duration> {
    let resolution = scalar::positive_duration(node, diagnostics)?;
    if CLOCK_RESOLUTION_MAX < resolution {
        let (asked, most) = (scalar::show_duration(resolution), scalar::show_duration(CLOCK_RESOLUTION_MAX));
        let message = format!("a resolution of {asked} is coarser than {most}");
        let error = Diagnostic::error("manifest.range", node.span, message);
        return diagnostics
            .reject(error.fix(format!("write `{most}` or less; `1ms` is enough to blunt what times tell")));
    }
    Some(resolution)
}
