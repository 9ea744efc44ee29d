//! Two types whose names are one in WIT.

mod old {
    #[derive(clockjack_sdk::Value)]
    pub struct Row {
        pub id: u64,
    }
}

mod new {
    #[derive(clockjack_sdk::Value)]
    pub struct Row {
        pub id: String,
    }
}

#[clockjack_sdk::job] //~ two different types of this plugin have the same name; rename one of them
pub fn migrate(from: old::Row, to: new::Row) {}
