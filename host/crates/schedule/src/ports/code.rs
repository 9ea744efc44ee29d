//! What keeps the code that an attempt ran.

use std::{any::Any, fmt, sync::Arc};

/// Keeps the code of an attempt for the next attempt of its run (`retry_on: same`). Only the executor that made it knows
/// what it is; the code is freed with the last clone. Two are equal where they keep the very same.
#[derive(Clone)]
pub struct CodePin(Arc<dyn Any + Send + Sync>);

impl CodePin {
    /// Keeps something.
    #[must_use]
    pub fn keeping<T: Send + Sync + 'static>(code: Arc<T>) -> Self {
        Self(code)
    }

    /// What is kept, for the executor that knows its type.
    #[must_use]
    pub fn code<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        Arc::clone(&self.0).downcast().ok()
    }
}

impl PartialEq for CodePin {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for CodePin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodePin")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_keeps_what_it_was_given_and_frees_it_with_its_last_clone() {
        let code = Arc::new(7);
        let pin = CodePin::keeping(Arc::clone(&code));
        let clone = pin.clone();
        assert_eq!((pin.code::<i32>(), pin.code::<u8>()), (Some(Arc::clone(&code)), None));
        assert!(pin == clone && pin != CodePin::keeping(Arc::new(7)));
        drop((pin, clone));
        assert_eq!(Arc::strong_count(&code), 1);
    }
}
