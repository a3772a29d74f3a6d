//! What listings are filtered by: the same everywhere, and the same as on the command line.

/// A struct of parameters with fields of its own and those that every listing is filtered by.
macro_rules! filtered {
    ($(#[$doc:meta])* $visibility:vis struct $name:ident { $($own:tt)* }) => {
        #[derive(Debug, Default, serde::Deserialize, utoipa::IntoParams, utoipa::ToSchema)]
        $(#[$doc])*
        #[serde(deny_unknown_fields)]
        #[into_params(parameter_in = Query)]
        $visibility struct $name {
            $($own)*
            /// Only addresses at this domain.
            domain: Option<String>,
            /// Only this class.
            #[param(inline)]
            class: Option<$crate::classify::Class>,
            /// Only what this rule decided.
            #[param(example = "iana.5.1.1")]
            rule: Option<String>,
            /// Only what this host said (Remote-MTA).
            remote_mta: Option<String>,
            /// Only where a host says that this IP address of yours is listed or blocked.
            #[param(inline)]
            listed_ip: Option<$crate::http::params::Ip>,
            /// Only what came in this way.
            #[param(inline)]
            origin: Option<$crate::store::AuditOrigin>,
            /// Only this stream, by name or number; 0: what belongs to none.
            #[param(example = "newsletter")]
            stream: Option<String>,
            /// Only what is believed this far.
            #[param(inline)]
            trust: Option<$crate::returnpath::Trust>,
            /// Only bounces received, entries changed, holds opened and events written at this time or later: a time, a
            /// UTC date, or how long ago (7d).
            #[param(inline)]
            since: Option<$crate::http::params::When>,
            /// Only those before this time, written in the same ways.
            #[param(inline)]
            until: Option<$crate::http::params::When>,
        }

        impl $name {
            /// The filter of the store.
            fn common(
                &self,
                streams: &$crate::store::Streams,
            ) -> Result<$crate::store::Filter, $crate::http::problem::Problem> {
                Ok($crate::store::Filter {
                    domain: self.domain.as_deref().map($crate::address::domain_key),
                    class: self.class,
                    rule: self.rule.clone(),
                    remote_mta: self.remote_mta.clone(),
                    listed_ip: self.listed_ip.map(|ip| ip.0.to_canonical()),
                    origin: self.origin,
                    stream: $crate::http::params::stream(streams, self.stream.as_deref())?,
                    trust: self.trust,
                    since: self.since.map(|when| when.0),
                    until: self.until.map(|when| when.0),
                })
            }
        }
    };
}
pub(super) use filtered;
