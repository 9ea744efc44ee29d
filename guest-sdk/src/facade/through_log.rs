//! Records of the crate `log`.

use log::{
    LevelFilter, Log, Metadata, Record,
    kv::{Error, Key, Value, VisitSource},
};

use crate::{Level, rt::imports};

pub(super) fn install() {
    // The host counts what is too much; nothing is filtered here.
    if log::set_logger(&ToHost).is_ok() {
        log::set_max_level(LevelFilter::Trace);
    }
}

struct ToHost;

impl Log for ToHost {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let level = match record.level() {
            log::Level::Trace => Level::Trace,
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
        };
        let mut pairs = Pairs(vec![("target".to_owned(), record.target().to_owned())]);
        // Our visitor refuses nothing.
        let _ = record.key_values().visit(&mut pairs);
        let fields: Vec<(&str, String)> = pairs.0.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        imports::log(level, &record.args().to_string(), &fields);
    }

    fn flush(&self) {}
}

struct Pairs(Vec<(String, String)>);

impl<'kvs> VisitSource<'kvs> for Pairs {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        self.0.push((key.to_string(), value.to_string()));
        Ok(())
    }
}
