//! What a job may reach, as it goes to a worker: rules in the words of the manifest, which the worker reads again.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use clockjack_schedule::{
    egress::{Endpoint, HttpRule, Methods, NameRule, NetworkGrants},
    job::Grants,
};

use super::wire::{ReachWire, RuleWire};

/// What looking up names and checking certificates reads. What is not there is left out.
const READ: [&str; 20] = [
    "/etc/resolv.conf",
    "/run/systemd/resolve",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/ld.so.cache",
    "/lib",
    "/lib64",
    "/usr/lib",
    // Not all of the folder: private keys are in it, too.
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/ca-trust",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/var/lib/ca-certificates",
];

pub(super) fn of_grants(grants: &Grants) -> ReachWire {
    let http = |rule: &HttpRule| RuleWire {
        text: rule.to_string(),
        methods: rule.methods.iter().map(str::to_owned).collect(),
        private: rule.private,
    };
    let plain = |text: String, private: bool| RuleWire { text, methods: Vec::new(), private };
    let endpoints = |all: &[Endpoint]| all.iter().map(|one| plain(one.to_string(), one.private)).collect();
    let network = grants.network.as_deref();
    ReachWire {
        http: grants.http.iter().map(http).collect(),
        tcp: network.map(|network| endpoints(&network.tcp)).unwrap_or_default(),
        udp: network.map(|network| endpoints(&network.udp)).unwrap_or_default(),
        dns: network
            .into_iter()
            .flat_map(|network| &network.dns)
            .map(|n| plain(n.pattern.to_string(), n.private))
            .collect(),
        clock_resolution_nanos: grants.clock_resolution.map(super::setup::nanos),
        random_seed: grants.random_seed,
        certificates: BTreeMap::new(),
    }
}

impl ReachWire {
    /// Whether there is anything to reach.
    pub(super) fn is_open(&self) -> bool {
        [&self.http, &self.tcp, &self.udp, &self.dns].iter().any(|rules| !rules.is_empty())
    }

    /// Files that are read on the way there.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        if !self.is_open() {
            return Vec::new();
        }
        // A variable may name several folders.
        let certificates =
            self.certificates.values().flat_map(|paths| paths.split(':')).filter(|path| !path.is_empty());
        READ.into_iter().chain(certificates).map(PathBuf::from).collect()
    }

    /// The grants that it was made of.
    ///
    /// # Errors
    /// When a rule cannot be read, which only a host of another version would send.
    pub(super) fn grants(&self) -> Result<Grants, String> {
        let http = self.http.iter().map(RuleWire::http).collect::<Result<Arc<[_]>, _>>()?;
        let endpoints = |rules: &[RuleWire]| rules.iter().map(RuleWire::endpoint).collect::<Result<Vec<_>, _>>();
        let network = NetworkGrants {
            tcp: endpoints(&self.tcp)?,
            udp: endpoints(&self.udp)?,
            dns: self.dns.iter().map(RuleWire::name).collect::<Result<_, _>>()?,
        };
        Ok(Grants {
            http,
            network: (!network.is_empty()).then(|| Arc::new(network)),
            clock_resolution: self.clock_resolution_nanos.map(std::time::Duration::from_nanos),
            random_seed: self.random_seed,
            ..Grants::default()
        })
    }
}

impl RuleWire {
    fn http(&self) -> Result<HttpRule, String> {
        let rule = HttpRule::parse(&self.text).map_err(|fault| format!("`{}`: {fault}", self.text))?;
        let methods = self.methods.iter().try_fold(Methods::NONE, |methods, method| methods.with(method));
        let methods = methods.ok_or_else(|| format!("`{}`: an unknown method", self.text))?;
        Ok(HttpRule { methods, private: self.private, ..rule })
    }

    fn endpoint(&self) -> Result<Endpoint, String> {
        let endpoint = Endpoint::parse(&self.text).map_err(|fault| format!("`{}`: {fault}", self.text))?;
        Ok(Endpoint { private: self.private, ..endpoint })
    }

    fn name(&self) -> Result<NameRule, String> {
        let name = NameRule::parse(&self.text).map_err(|fault| format!("`{}`: {fault}", self.text))?;
        Ok(NameRule { private: self.private, ..name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_come_back_as_they_went() {
        let http = ["https://*.acme.dev", "http://[::1]:8080/a/b", "https://api.acme.dev:*/v1/"];
        let mut http: Vec<_> = http.iter().map(|text| HttpRule::parse(text).unwrap()).collect();
        http[1].private = true;
        http[2].methods = Methods::NONE.with("GET").and_then(|methods| methods.with("POST")).unwrap();
        let endpoints = ["db.internal:5432", "10.1.2.3:6379", "10.0.0.0/8:1-1024", "[fd00::1]:53"];
        let mut tcp: Vec<_> = endpoints.iter().map(|text| Endpoint::parse(text).unwrap()).collect();
        tcp[0].private = true;
        let dns = vec![NameRule { private: true, ..NameRule::parse("*.acme.dev").unwrap() }];
        let grants = Grants {
            http: http.into(),
            network: Some(Arc::new(NetworkGrants { udp: tcp[1..].to_vec(), tcp, dns })),
            clock_resolution: Some(std::time::Duration::from_millis(1)),
            random_seed: Some(u64::MAX),
            ..Grants::default()
        };
        let wire = of_grants(&grants);
        assert!(wire.is_open());
        let certificates = BTreeMap::from([("SSL_CERT_DIR".to_owned(), "/a:/b".to_owned())]);
        let paths = ReachWire { certificates, ..of_grants(&grants) }.paths();
        assert_eq!(paths[READ.len()..], [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert_eq!(wire.grants(), Ok(grants));
        assert!(!of_grants(&Grants::default()).is_open());
        assert_eq!(of_grants(&Grants::default()).grants(), Ok(Grants::default()));
    }
}
