//! Which backups stay. Knows nothing of files or of the host, only of dates.

use crate::{Kept, Reason, Retention, date::Date};

/// A file that has a date in its name.
pub struct Backup {
    pub date: Date,
    pub file: String,
}

/// Every backup is in one of the two.
pub struct Plan {
    /// The newest first.
    pub keep: Vec<Kept>,
    /// The oldest first.
    pub drop: Vec<String>,
}

/// Keeps the newest backup of each of the last days, weeks and months that have one.
pub fn plan(backups: &[Backup], retention: Retention) -> Plan {
    let rules: [(Reason, u32, fn(Date) -> i64); 3] = [
        (Reason::NewestOfDay, retention.days, Date::day),
        (Reason::NewestOfWeek, retention.weeks, Date::week),
        (Reason::NewestOfMonth, retention.months, Date::month),
    ];
    let mut newest_first: Vec<_> = backups.iter().collect();
    newest_first.sort_by(|a, b| (b.date, &b.file).cmp(&(a.date, &a.file)));
    let mut seen: [Vec<i64>; 3] = Default::default();
    let mut plan = Plan { keep: Vec::new(), drop: Vec::new() };
    for backup in newest_first {
        let mut reasons = Vec::new();
        for ((reason, at_most, period), seen) in rules.iter().zip(&mut seen) {
            let period = period(backup.date);
            if seen.last() != Some(&period) {
                seen.push(period);
                if seen.len() <= *at_most as usize {
                    reasons.push(*reason);
                }
            }
        }
        if reasons.is_empty() {
            plan.drop.push(backup.file.clone());
        } else {
            plan.keep.push(Kept { file: backup.file.clone(), reasons });
        }
    }
    plan.drop.reverse();
    plan
}
