//! `[unproven]`: quotas for mail that nothing proves.

use super::reader::Reader;
use crate::ingest::Quotas;

/// Reads the quotas.
pub(super) fn unproven(reader: &mut Reader) -> Quotas {
    let default = Quotas::default();
    let mut octets = |key, default| reader.integer(key, default, 0..=1 << 50);
    Quotas {
        network_octets: octets("unproven.network_octets", default.network_octets),
        network_rows: octets("unproven.network_rows", default.network_rows),
        domain_octets: octets("unproven.domain_octets", default.domain_octets),
        domain_rows: octets("unproven.domain_rows", default.domain_rows),
        octets: octets("unproven.octets", default.octets),
        rows: octets("unproven.rows", default.rows),
        raw_octets: octets("unproven.raw_octets", default.raw_octets),
    }
}
