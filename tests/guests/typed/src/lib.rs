//! One echo for every WIT value type: what goes in as YAML or JSON has to come out the same.

#[clockjack_sdk::jobs]
pub mod jobs {
    use clockjack_sdk::{Cause, Value};

    /// A record with every kind of field.
    #[derive(Debug, Value)]
    pub struct Order {
        /// Its number.
        pub id: u64,
        /// Who gets it; a record in the record.
        pub customer: Customer,
        /// What is in it; a list of records.
        pub items: Vec<Item>,
        /// How it travels; a variant.
        pub shipping: Shipping,
        /// How urgent it is; an enum.
        pub priority: Priority,
        /// Whether there is a remark; an option.
        pub remark: Option<String>,
        /// A tuple.
        pub location: (f64, f64),
        /// Flags.
        pub marks: Marks,
    }

    /// A nested record.
    #[derive(Debug, Value)]
    pub struct Customer {
        /// Any text.
        pub name: String,
        /// Several letters.
        pub initials: Vec<char>,
    }

    /// An item of a list.
    #[derive(Debug, Value)]
    pub struct Item {
        /// What it is.
        pub name: String,
        /// How many.
        pub count: u16,
    }

    /// A variant with payloads of different shapes.
    #[derive(Debug, Value)]
    pub enum Shipping {
        /// No payload.
        PickUp,
        /// A number.
        Days(u32),
        /// A float: shares its place with the text.
        Distance(f64),
        /// A text.
        Courier(String),
        /// A record.
        Gift(Customer),
        /// Several values: a tuple.
        Between(u8, u8),
    }

    /// An enum.
    #[derive(Debug, PartialEq, Value)]
    pub enum Priority {
        /// Some day.
        Low,
        /// The usual.
        Normal,
        /// Now.
        VeryHigh,
    }

    /// Flags: any of them.
    #[derive(Debug, Value)]
    #[wit(flags)]
    pub struct Marks {
        /// Breaks.
        pub fragile: bool,
        /// Do not drop.
        pub this_side_up: bool,
        /// Worth something.
        pub insured: bool,
    }

    /// The facts that the host told, with instants in milliseconds.
    #[derive(Debug, Value)]
    pub struct Facts {
        /// The run.
        pub run_id: String,
        /// The job.
        pub job: String,
        /// This attempt.
        pub attempt: u32,
        /// The last attempt.
        pub max_attempts: u32,
        /// Why.
        pub cause: Cause,
        /// The slot.
        pub scheduled_for: u64,
        /// The beginning.
        pub started_at: u64,
        /// The end at the latest.
        pub deadline: u64,
        /// The last success.
        pub last_success: Option<u64>,
        /// The zone.
        pub time_zone: String,
        /// The labels.
        pub labels: Vec<(String, String)>,
        /// What `time-left` says.
        pub time_left: u64,
        /// What `random-seed` says.
        pub random_seed: u64,
    }

    /// `bool`
    pub fn echo_bool(value: bool) -> bool {
        value
    }

    /// `u8`
    pub fn echo_u8(value: u8) -> u8 {
        value
    }

    /// `u16`
    pub fn echo_u16(value: u16) -> u16 {
        value
    }

    /// `u32`
    pub fn echo_u32(value: u32) -> u32 {
        value
    }

    /// `u64`
    pub fn echo_u64(value: u64) -> u64 {
        value
    }

    /// `s8`
    pub fn echo_s8(value: i8) -> i8 {
        value
    }

    /// `s16`
    pub fn echo_s16(value: i16) -> i16 {
        value
    }

    /// `s32`
    pub fn echo_s32(value: i32) -> i32 {
        value
    }

    /// `s64`
    pub fn echo_s64(value: i64) -> i64 {
        value
    }

    /// `f32`
    pub fn echo_f32(value: f32) -> f32 {
        value
    }

    /// `f64`
    pub fn echo_f64(value: f64) -> f64 {
        value
    }

    /// `char`
    pub fn echo_char(value: char) -> char {
        value
    }

    /// `string`
    pub fn echo_string(value: String) -> String {
        value
    }

    /// `list<u8>`
    pub fn echo_bytes(value: Vec<u8>) -> Vec<u8> {
        value
    }

    /// `list<f64>`
    pub fn echo_numbers(value: Vec<f64>) -> Vec<f64> {
        value
    }

    /// `list<list<string>>`
    pub fn echo_lists(value: Vec<Vec<String>>) -> Vec<Vec<String>> {
        value
    }

    /// `list<item>`
    pub fn echo_items(value: Vec<Item>) -> Vec<Item> {
        value
    }

    /// `option<string>`
    pub fn echo_option(value: Option<String>) -> Option<String> {
        value
    }

    /// `option<option<u32>>`
    pub fn echo_option_of_option(value: Option<Option<u32>>) -> Option<Option<u32>> {
        value
    }

    /// `result<u32, string>`, wrapped so that it stays an output and is no failure.
    pub fn echo_result(value: Result<u32, String>) -> (Result<u32, String>,) {
        (value,)
    }

    /// `result`
    pub fn echo_empty_result(value: Result<(), ()>) -> (Result<(), ()>,) {
        (value,)
    }

    /// `tuple<s32, string, bool>`
    pub fn echo_tuple(value: (i32, String, bool)) -> (i32, String, bool) {
        value
    }

    /// `variant`
    pub fn echo_variant(value: Shipping) -> Shipping {
        value
    }

    /// `enum`
    pub fn echo_enum(value: Priority) -> Priority {
        value
    }

    /// `flags`
    pub fn echo_flags(value: Marks) -> Marks {
        value
    }

    /// A record with everything in it; more than sixteen core values, so it is passed in memory.
    pub fn echo_record(value: Order) -> Order {
        value
    }

    /// Many parameters of different widths, put together in order.
    pub fn join(a: bool, b: i8, c: u16, d: i64, e: f32, f: char, g: String, h: Option<u64>) -> String {
        format!("{a} {b} {c} {d} {e} {f} {g} {h:?}")
    }

    /// Seventeen core values in single parameters: one too many for registers.
    pub fn count_words(
        one: String,
        two: String,
        three: String,
        four: String,
        five: String,
        six: String,
        seven: String,
        eight: String,
        n: u32,
    ) -> u32 {
        [one, two, three, four, five, six, seven, eight]
            .iter()
            .map(|text| text.split_whitespace().count() as u32)
            .sum::<u32>()
            + n
    }

    /// Divides, and fails with a message by zero.
    pub fn divide(dividend: i64, divisor: i64) -> Result<i64, String> {
        dividend.checked_div(divisor).ok_or_else(|| format!("cannot divide {dividend} by {divisor}"))
    }

    /// Fails without a value.
    pub fn refuse() -> Result<(), ()> {
        Err(())
    }

    /// Takes and returns nothing.
    pub fn nothing() {}

    /// What the host told this attempt.
    pub fn facts() -> Facts {
        let millis = |instant: std::time::SystemTime| {
            instant.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
        };
        let ctx = clockjack_sdk::context();
        clockjack_sdk::info!(job = ctx.job, attempt = ctx.attempt, "told the facts");
        clockjack_sdk::progress_with(1, Some(1), "told");
        Facts {
            run_id: ctx.run_id,
            job: ctx.job,
            attempt: ctx.attempt,
            max_attempts: ctx.max_attempts,
            cause: ctx.cause,
            scheduled_for: millis(ctx.scheduled_for),
            started_at: millis(ctx.started_at),
            deadline: millis(ctx.deadline),
            last_success: ctx.last_success.map(millis),
            time_zone: ctx.time_zone,
            labels: ctx.labels,
            time_left: clockjack_sdk::time_left().as_millis() as u64,
            random_seed: clockjack_sdk::random_seed(),
        }
    }
}
