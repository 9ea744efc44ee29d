//! The jobs of {{name}}: every `pub fn` of the module below is a function of the component.

#[clockjack_sdk::jobs]
pub mod jobs {
    use clockjack_sdk::info;

    /// Says hello.
    pub fn hello(name: String) -> String {
        info!("greeting {name}");
        format!("hello {name}")
    }
}
