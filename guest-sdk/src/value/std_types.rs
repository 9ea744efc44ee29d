//! Types of the standard library that are no WIT types, as the WIT types that say the same.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use super::Value;
use crate::rt::{At, Docs, Layout, Slots, Type};

/// Where `$type` is `$wit` in WIT, converted by the two functions.
macro_rules! through {
    ($wit:ty, $into:expr, $from:expr) => {
        fn lift(slots: &mut Slots) -> Self {
            $from(<$wit as Value>::lift(slots))
        }
        fn load(at: At) -> Self {
            $from(<$wit as Value>::load(at))
        }
        fn store(self, at: At) {
            <$wit as Value>::store($into(self), at);
        }
    };
}

/// A box is what is in it.
impl<T: Value> Value for Box<T> {
    type Flat = T::Flat;
    const TYPE: Type = T::TYPE;
    const LAYOUT: Layout = T::LAYOUT;
    through!(T, |boxed: Self| *boxed, Box::new);
}

/// A map is a list of pairs in the order of its keys; of two pairs with one key the later counts.
impl<K: Value + Ord, V: Value> Value for BTreeMap<K, V> {
    type Flat = <Vec<(K, V)> as Value>::Flat;
    const TYPE: Type = <Vec<(K, V)> as Value>::TYPE;
    const LAYOUT: Layout = Layout::PAIR;
    through!(Vec<(K, V)>, |map: Self| map.into_iter().collect(), |pairs: Vec<(K, V)>| pairs.into_iter().collect());
}

/// A length of time is a number of milliseconds, called `millis` in WIT.
impl Value for Duration {
    type Flat = <u64 as Value>::Flat;
    const TYPE: Type =
        Type::Alias("millis", &<u64 as Value>::TYPE, Docs { own: &["A length of time in milliseconds."], items: &[] });
    const LAYOUT: Layout = <u64 as Value>::LAYOUT;
    through!(u64, millis, Duration::from_millis);
}

/// An instant is a number of milliseconds since 1970-01-01T00:00:00Z, called `instant` in WIT.
impl Value for SystemTime {
    type Flat = <u64 as Value>::Flat;
    const TYPE: Type = Type::Alias(
        "instant",
        &<u64 as Value>::TYPE,
        Docs { own: &["An instant in milliseconds since 1970-01-01T00:00:00Z."], items: &[] },
    );
    const LAYOUT: Layout = <u64 as Value>::LAYOUT;
    through!(u64, |instant: Self| instant.duration_since(Self::UNIX_EPOCH).map_or(0, millis), instant);
}

/// A length of time that is too long is the longest.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// One that is too far away is the epoch.
pub(crate) fn instant(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis)).unwrap_or(SystemTime::UNIX_EPOCH)
}
