//! `${VAR}` in values: replaced after the text was parsed, so that no value can change the shape of the manifest.
//!
//! One pass, no recursion: what a variable holds is never looked at again. Keys are left alone, and so are `secrets:` and
//! the free `x-…` keys of the top. In the `args` of jobs, `${run.…}` and `${payload.…}` are left for the time when the job
//! fires; `$${` stays as it is there, and what variables hold is escaped, so that nothing else counts as such a template.

use super::{
    node::{Entry, Node, Value},
    parse::SOURCE_BYTES_MAX,
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Span},
    template,
};

/// Where values of variables come from: the environment, in the shell; a closure, in tests.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Most bytes that all values of one source hold after replacement, so that a short text cannot become a huge one.
const EXPANDED_BYTES_MAX: usize = 4 * SOURCE_BYTES_MAX;

/// Replaces the variables in all values of one source.
pub fn interpolate(root: &mut Node, lookup: Lookup<'_>, diagnostics: &mut Diagnostics) {
    let mut pass = Pass { lookup, bytes_left: EXPANDED_BYTES_MAX, when: When::Now, diagnostics };
    match &mut root.value {
        Value::Map(entries) => {
            let counts = |entry: &&mut Entry| entry.key != "secrets" && !entry.key.starts_with("x-");
            for entry in entries.iter_mut().filter(counts) {
                match (&mut entry.value.value, entry.key.as_str()) {
                    (Value::Map(jobs), "jobs") => jobs.iter_mut().for_each(|job| pass.job(&mut job.value)),
                    (_, _) => pass.node(&mut entry.value),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::List(_) => {
            pass.node(root);
        }
    }
}

/// The keys of a job whose values may hold templates, which are filled in when the job fires.
const TEMPLATED: [&str; 2] = ["args", "stdin"];

/// When the values that are being looked at have their last form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// After this pass.
    Now,
    /// When the job fires.
    Fired,
}

/// Whether a value is `{ file: … }`, which is read when the manifest is.
fn is_file(node: &Node) -> bool {
    node.as_map().is_some_and(|entries| entries.len() == 1 && entries[0].key == "file")
}

struct Pass<'a, 'd> {
    lookup: Lookup<'a>,
    bytes_left: usize,
    when: When,
    diagnostics: &'d mut Diagnostics,
}

impl Pass<'_, '_> {
    fn job(&mut self, node: &mut Node) {
        let Value::Map(entries) = &mut node.value else { return self.node(node) };
        for entry in entries {
            let is_read_now = entry.key == "stdin" && is_file(&entry.value);
            let is_templated = TEMPLATED.contains(&entry.key.as_str()) && !is_read_now;
            self.when = if is_templated { When::Fired } else { When::Now };
            self.node(&mut entry.value);
        }
        self.when = When::Now;
    }

    fn node(&mut self, node: &mut Node) {
        match &mut node.value {
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
            Value::List(items) => items.iter_mut().for_each(|item| self.node(item)),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| self.node(&mut entry.value)),
            Value::Text(text) if text.contains("${") => self.text(node),
            Value::Text(_) => {}
        }
    }

    fn text(&mut self, node: &mut Node) {
        let Some(text) = node.as_text() else { return };
        let mut found = Vec::new();
        let new = expand(text, self.lookup, self.when, &mut found);
        if !found.is_empty() {
            // The text stays as it was; whoever reads it on is not to wonder about half of it.
            let told = found.into_iter().map(|(start, end, problem)| problem.diagnostic(node.span_within(start, end)));
            told.for_each(|diagnostic| self.diagnostics.push(diagnostic));
            return;
        }
        if new == text {
            return;
        }
        let Some(left) = self.bytes_left.checked_sub(new.len()) else {
            let message = format!("values grow beyond {EXPANDED_BYTES_MAX} bytes when their variables are filled in");
            self.diagnostics.push(Diagnostic::error("manifest.too_large", node.span, message));
            // Told once; what follows stays as it is.
            self.bytes_left = 0;
            return;
        };
        self.bytes_left = left;
        let scalar = if node.is_plain() { as_scalar(&new) } else { None };
        node.text_start = None;
        match scalar {
            Some(value) => {
                node.value = value;
                node.text_before = Some(new.into());
            }
            None => node.value = Value::Text(new),
        }
    }
}

/// What a value without quotes would have been, had the variable's value stood there: nothing, a number, a boolean.
fn as_scalar(text: &str) -> Option<Value> {
    match text {
        "" => return Some(Value::Null),
        "true" => return Some(Value::Bool(true)),
        "false" => return Some(Value::Bool(false)),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let begins_with_digit = digits.starts_with(|c: char| c.is_ascii_digit());
    // A leading zero is a postcode or an account number, not a quantity.
    let leading_zero = 1 < digits.len() && digits.starts_with('0') && !digits.starts_with("0.");
    if !begins_with_digit || leading_zero {
        return None;
    }
    if let Ok(n) = text.parse() {
        return Some(Value::Int(n));
    }
    text.parse().ok().filter(|x: &f64| x.is_finite()).map(Value::Float)
}

/// What is wrong with one `${…}`.
enum Problem {
    Unset(String),
    Required { name: String, message: String },
    NotClosed,
    NotAName(String),
    Nested,
    Template(String),
}

impl Problem {
    fn diagnostic(self, span: Span) -> Diagnostic {
        let error = |message: String| Diagnostic::error("manifest.variable", span, message);
        match self {
            Self::Unset(name) => error(format!("the environment variable `{name}` is not set")).fix(format!(
                "set it, or give it a default: `${{{name}:-value}}`; for the plain characters write `$${{`"
            )),
            Self::Required { name, message } if message.is_empty() => {
                error(format!("the environment variable `{name}` is not set")).fix(format!("set `{name}`"))
            }
            Self::Required { name, message } => {
                error(format!("the environment variable `{name}` is not set: {message}")).fix(format!("set `{name}`"))
            }
            Self::NotClosed => error("`${` has no closing `}`".to_owned())
                .fix("close it, as in `${NAME}`; for the plain characters write `$${`"),
            Self::NotAName(written) => error(format!("`${{{written}}}` is not a reference to a variable"))
                .fix("write `${NAME}`, `${NAME:-default}` or `${NAME:?message}`; for the plain characters write `$${`"),
            Self::Template(written) => error(format!("`${{{written}}}` is known only when a job fires")).fix(format!(
                "it may stand in `args` and `stdin` of a job; for the plain characters write `$${{{written}}}`"
            )),
            Self::Nested => error("a default may not hold another `${…}`".to_owned())
                .fix("write the default out, or set the variable"),
        }
    }
}

/// Replaces what can be replaced; problems come with their byte range.
fn expand(text: &str, lookup: Lookup<'_>, when: When, found: &mut Vec<(usize, usize, Problem)>) -> String {
    let mut new = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let start = text.len() - rest.len() + at;
        if rest[..at].ends_with('$') {
            // `$${` stands for `${`: keep one of the two dollars and go on behind the brace.
            match when {
                When::Now => new.push_str(&rest[..at - 1]),
                When::Fired => new.push_str(&rest[..at]),
            }
            new.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        new.push_str(&rest[..at]);
        let Some(close) = rest[at..].find('}').map(|n| at + n) else {
            found.push((start, text.len(), Problem::NotClosed));
            rest = &rest[at..];
            break;
        };
        let inner = &rest[at + 2..close];
        match reference(inner, lookup, when) {
            Ok(Some(value)) => match when {
                When::Now => new.push_str(&value),
                When::Fired => new.push_str(&template::escape(&value)),
            },
            Ok(None) => new.push_str(&rest[at..=close]),
            Err(problem) => found.push((start, start + (close - at) + 1, problem)),
        }
        rest = &rest[close + 1..];
        if EXPANDED_BYTES_MAX < new.len() {
            break;
        }
    }
    new.push_str(rest);
    new
}

/// The value of what stands between the braces; nothing where it is to be left alone.
fn reference(inner: &str, lookup: Lookup<'_>, when: When) -> Result<Option<String>, Problem> {
    let name_end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
    let (name, operator) = inner.split_at(name_end);
    if inner.contains("${") {
        return Err(Problem::Nested);
    }
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(Problem::NotAName(inner.to_owned()));
    }
    let is_template = operator.starts_with('.') || matches!(name, "run" | "payload") && !operator.starts_with(":?");
    match when {
        When::Fired if is_template => return Ok(None),
        When::Now if operator.starts_with('.') => return Err(Problem::Template(inner.to_owned())),
        When::Fired | When::Now => {}
    }
    let value = lookup(name);
    // As in a shell, the forms with a colon take an empty variable for an unset one.
    let filled = || value.clone().filter(|value| !value.is_empty());
    if operator.is_empty() {
        return value.map(Some).ok_or_else(|| Problem::Unset(name.to_owned()));
    }
    if let Some(default) = operator.strip_prefix(":-") {
        return Ok(Some(filled().unwrap_or_else(|| default.to_owned())));
    }
    if let Some(message) = operator.strip_prefix(":?") {
        let missing = || Problem::Required { name: name.to_owned(), message: message.trim().to_owned() };
        return filled().map(Some).ok_or_else(missing);
    }
    Err(Problem::NotAName(inner.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::parse::parse;

    fn lookup(name: &str) -> Option<String> {
        let value = match name {
            "HOST" => "example.org",
            "N" => "5",
            "ON" => "true",
            "EMPTY" => "",
            "ZERO" => "007",
            "TRICK" => "${HOST}",
            "SHAPE" => "a: {b: c}",
            _ => return None,
        };
        Some(value.to_owned())
    }

    fn tell(text: &str) -> String {
        let (node, mut diagnostics) = parse(0, text);
        let mut node = node.unwrap();
        interpolate(&mut node, &lookup, &mut diagnostics);
        let problems = diagnostics.into_iter().map(|d| format!("{}..{} {d}\n", d.span.start, d.span.end));
        format!("{}{}", problems.collect::<String>(), node.to_json())
    }

    #[test]
    fn values_are_replaced_and_typed() {
        expect_test::expect![[r#"{"a":"https://example.org/5","b":5,"c":"5","d":true,"e":null,"f":"007","g":2.5,"h":"x","i":null}"#]].assert_eq(&tell("a: https://${HOST}/${N}\nb: ${N}\nc: \"${N}\"\nd: ${ON}\ne: ${EMPTY}\nf: ${ZERO}\ng: ${NO:-2.5}\nh: ${EMPTY:-x}\ni: ${NO:-}\n"));
        expect_test::expect![[r#"{"a":"${HOST} $${HOST} $HOST $","c":"${HOST}","d":"a: {b: c}","${HOST}":"key"}"#]]
            .assert_eq(&tell("a: $${HOST} $$${HOST} $HOST $\nc: ${TRICK}\nd: ${SHAPE}\n${HOST}: key\n"));
        expect_test::expect![[r#"{"secrets":{"a":"${NO}"},"x-free":"${NO}","l":["5",{"k":"example.org"}]}"#]]
            .assert_eq(&tell("secrets: { a: '${NO}' }\nx-free: ${NO}\nl: [ '${N}', {k: \"${HOST}\"} ]\n"));
    }

    #[test]
    fn templates_are_left_for_the_time_when_the_job_fires() {
        let text = r#"
jobs:
  j:
    args: { a: "${run.id}-${payload.x}-${N}", b: [ "${payload}", "${payload[0]}" ], c: "${TRICK}", d: "$${run.id} $${N}" }
    description: "${TRICK} $${run.id}"
"#;
        expect_test::expect![[r#"{"jobs":{"j":{"args":{"a":"${run.id}-${payload.x}-5","b":["${payload}","${payload[0]}"],"c":"$${HOST}","d":"$${run.id} $${N}"},"description":"${HOST} ${run.id}"}}}"#]].assert_eq(&tell(text));
        let elsewhere = tell(
            "jobs: { j: { timeout: \"${run.id}\", labels: { a: \"${payload.x}\" } } }\ndefaults: { args: \"${run.id}\" }\n",
        );
        assert_eq!(
            elsewhere.matches("is known only when a job fires; it may stand in `args` and `stdin` of a job").count(),
            3,
            "{elsewhere}"
        );
        assert!(elsewhere.contains("for the plain characters write `$${payload.x}`"), "{elsewhere}");
    }

    #[test]
    fn problems_are_told_with_their_place() {
        expect_test::expect![[r#"
            4..9 error[manifest.variable]: the environment variable `NO` is not set; set it, or give it a default: `${NO:-value}`; for the plain characters write `$${`
            14..42 error[manifest.variable]: the environment variable `NO` is not set: set it to the address; set `NO`
            47..54 error[manifest.variable]: the environment variable `NO` is not set; set `NO`
            {"a":"x${NO}y","b":"${NO:?set it to the address}","c":"${NO:?}"}"#]].assert_eq(&tell("a: x${NO}y\nb: ${NO:?set it to the address}\nc: '${NO:?}'\n"));
        expect_test::expect![[r#"
            3..5 error[manifest.variable]: `${` has no closing `}`; close it, as in `${NAME}`; for the plain characters write `$${`
            11..14 error[manifest.variable]: `${}` is not a reference to a variable; write `${NAME}`, `${NAME:-default}` or `${NAME:?message}`; for the plain characters write `$${`
            18..23 error[manifest.variable]: `${1A}` is not a reference to a variable; write `${NAME}`, `${NAME:-default}` or `${NAME:?message}`; for the plain characters write `$${`
            27..33 error[manifest.variable]: `${A-b}` is not a reference to a variable; write `${NAME}`, `${NAME:-default}` or `${NAME:?message}`; for the plain characters write `$${`
            37..46 error[manifest.variable]: a default may not hold another `${…}`; write the default out, or set the variable
            51..60 error[manifest.variable]: the environment variable `NO` is not set; set it, or give it a default: `${NO:-value}`; for the plain characters write `$${`
            {"a":"${","b":"x ${}","c":"${1A}","d":"${A-b}","e":"${A:-${B}}","f":"\t${NO}"}"#]]
            .assert_eq(&tell("a: ${\nb: x ${}\nc: ${1A}\nd: ${A-b}\ne: ${A:-${B}}\nf: \"\\t${NO}\"\n"));
    }

    #[test]
    fn growth_is_bounded() {
        let long = |_: &str| Some("x".repeat(100_000));
        let (node, mut diagnostics) = parse(0, &format!("a: {}\nb: {}", "${A}".repeat(50_000), "${A}"));
        interpolate(&mut node.unwrap(), &long, &mut diagnostics);
        assert_eq!(diagnostics.all().iter().map(|d| d.code).collect::<Vec<_>>(), ["manifest.too_large"; 2]);
    }
}
