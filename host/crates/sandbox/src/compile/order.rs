//! What a child is told, as one word of its command line: it is known before the child reads a byte of the file.

use std::{fmt, str::FromStr};

use super::{Budget, Effort};
use crate::engine::{Allocation, Metering};

/// How a file is to be compiled, and what that may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) metering: Metering,
    pub(crate) allocation: Allocation,
    pub(crate) effort: Effort,
    pub(crate) budget: Budget,
}

impl Order {
    /// The order in the words of the process that gives it.
    pub(crate) fn of_host(&self, host: u32) -> String {
        format!("{self},{host}")
    }

    /// Reads an order, and from which process it came.
    ///
    /// # Errors
    /// When it is malformed.
    pub(crate) fn with_host(text: &str) -> Result<(Self, u32), String> {
        let (order, host) = text.rsplit_once(',').ok_or_else(|| format!("`{text}` is no order"))?;
        Ok((order.parse()?, host.parse().map_err(|error| format!("`{host}`: {error}"))?))
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metering = match self.metering {
            Metering::Plain => "plain",
            Metering::Fuel => "fuel",
        };
        let allocation = match self.allocation {
            Allocation::Pooling => "pooling",
            Allocation::OnDemand => "on-demand",
        };
        let effort = match self.effort {
            Effort::Full => "full",
            Effort::Least => "least",
        };
        let Budget { cpu_seconds, memory_bytes, code_bytes, is_lowered } = self.budget;
        write!(f, "{metering},{allocation},{effort},{cpu_seconds},{memory_bytes},{code_bytes},{is_lowered}")
    }
}

impl FromStr for Order {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words: Vec<&str> = text.split(',').collect();
        let [metering, allocation, effort, cpu_seconds, memory_bytes, code_bytes, is_lowered] = words[..] else {
            return Err(format!("an order has seven words, and `{text}` has {}", words.len()));
        };
        let unknown = |word: &str| format!("`{word}` is no word of an order");
        let number = |word: &str| word.parse::<u64>().map_err(|error| format!("`{word}`: {error}"));
        Ok(Self {
            metering: match metering {
                "plain" => Metering::Plain,
                "fuel" => Metering::Fuel,
                other => return Err(unknown(other)),
            },
            allocation: match allocation {
                "pooling" => Allocation::Pooling,
                "on-demand" => Allocation::OnDemand,
                other => return Err(unknown(other)),
            },
            effort: match effort {
                "full" => Effort::Full,
                "least" => Effort::Least,
                other => return Err(unknown(other)),
            },
            budget: Budget {
                cpu_seconds: number(cpu_seconds)?,
                memory_bytes: number(memory_bytes)?,
                code_bytes: number(code_bytes)?,
                is_lowered: is_lowered.parse().map_err(|_error| unknown(is_lowered))?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CompileBudget;

    #[test]
    fn an_order_is_understood_as_it_was_meant() {
        for (metering, allocation, effort) in [
            (Metering::Plain, Allocation::Pooling, Effort::Full),
            (Metering::Fuel, Allocation::OnDemand, Effort::Least),
        ] {
            let budget = Budget::of(3 << 20, &CompileBudget::default());
            let order = Order { metering, allocation, effort, budget };
            assert_eq!(order.to_string().parse(), Ok(order));
            assert_eq!(Order::with_host(&order.of_host(7)), Ok((order, 7)));
            assert!(Order::with_host(&order.to_string()).is_err(), "it says not whose it is");
        }
        for wrong in ["", "plain", "plain,pooling,full,x,1,1,true", "plain,pooling,half,1,1,1,true", "a,b,c,d,e,f,g"] {
            assert!(wrong.parse::<Order>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn budgets_grow_with_the_file_and_are_only_lowered() {
        let of = |n_bytes, cpu_time_max, memory_bytes_max| {
            let budget = Budget::of(n_bytes, &CompileBudget { cpu_time_max, memory_bytes_max });
            (budget.cpu_seconds, budget.memory_bytes >> 20, budget.is_lowered)
        };
        let seconds = |n| Some(std::time::Duration::from_secs(n));
        assert_eq!(of(1_000, None, None), (20, 1_024, false));
        assert_eq!(of(20 << 20, None, None), (60, 1_344, false));
        assert_eq!(of(20 << 20, seconds(2), Some(256 << 20)), (2, 256, true));
        assert_eq!(of(1_000, seconds(600), Some(64 << 30)), (20, 1_024, false), "never raised");
    }
}
