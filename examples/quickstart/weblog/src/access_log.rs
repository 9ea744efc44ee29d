//! Lines of the "combined" log format that nginx and Apache write. Knows nothing of jobs.

/// The part of a line that the jobs look at.
#[derive(Debug, PartialEq)]
pub(crate) struct Line<'a> {
    pub(crate) client: &'a str,
    pub(crate) path: &'a str,
    pub(crate) status: u16,
    pub(crate) bytes: u64,
}

/// A log that was read.
#[derive(Debug, Default)]
pub(crate) struct Entries<'a> {
    pub(crate) lines: Vec<Line<'a>>,
    pub(crate) malformed: u64,
}

/// Reads every line; those that are no log lines are counted.
pub(crate) fn parse(text: &str) -> Entries<'_> {
    let mut entries = Entries::default();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match parse_line(line) {
            Some(line) => entries.lines.push(line),
            None => entries.malformed += 1,
        }
    }
    entries
}

/// `client - user [time] "METHOD path VERSION" status bytes …`
fn parse_line(line: &str) -> Option<Line<'_>> {
    let (client, rest) = line.split_once(' ')?;
    let (_, rest) = rest.split_once("] \"")?;
    let (request, rest) = rest.split_once("\" ")?;
    let mut request = request.split(' ');
    let (_method, target, _version) = (request.next()?, request.next()?, request.next()?);
    let mut numbers = rest.split(' ');
    let status = numbers.next()?.parse().ok().filter(|status| (100..600).contains(status))?;
    let bytes = match numbers.next()? {
        "-" => 0,
        number => number.parse().ok()?,
    };
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    Some(Line { client, path, status, bytes })
}

#[cfg(test)]
mod tests {
    use super::{Line, parse, parse_line};

    #[test]
    fn a_combined_line_is_read() {
        let line = r#"192.0.2.7 - - [20/Nov/2026:06:25:14 +0000] "GET /a?b=c HTTP/1.1" 200 512 "-" "curl/8.5.0""#;
        assert_eq!(parse_line(line), Some(Line { client: "192.0.2.7", path: "/a", status: 200, bytes: 512 }));
    }

    #[test]
    fn other_lines_are_counted() {
        let text = "nonsense\n\n192.0.2.7 - - [x] \"GET / HTTP/1.1\" 99 1\n192.0.2.7 - - [x] \"\\x16\\x03\" 400 0\n";
        assert_eq!(parse(text).malformed, 3);
        assert!(parse(text).lines.is_empty());
    }
}
