//! Reading and writing linear memory for the canonical ABI. All raw pointers of the SDK are in this file and in
//! `rt/imports.rs`.
#![expect(unsafe_code, reason = "the canonical ABI passes addresses in linear memory")]

use std::alloc;

/// An address in linear memory at which a value lies or is to be put.
///
/// Only the runtime makes one, from an address that the host gave or that `allocate` returned, and the layouts
/// of `rt/types.rs` keep every access inside.
#[derive(Debug, Clone, Copy)]
pub struct At(*mut u8);

impl At {
    /// A word of the caller's stack, for values of up to eight bytes.
    pub(crate) fn of(word: &mut u64) -> At {
        At(std::ptr::from_mut(word).cast())
    }

    pub(crate) fn address(self) -> *mut u8 {
        self.0
    }

    /// `n_bytes` further.
    pub fn offset(self, n_bytes: usize) -> At {
        At(self.0.wrapping_add(n_bytes))
    }

    pub(crate) fn read<T: Copy>(self) -> T {
        // SAFETY: see `At`: the address fits the value that the WIT type says is there.
        unsafe { self.0.cast::<T>().read() }
    }

    pub(crate) fn write<T: Copy>(self, value: T) {
        // SAFETY: see `At`.
        unsafe { self.0.cast::<T>().write(value) }
    }

    pub(crate) fn read_pair(self) -> (u32, u32) {
        (self.read(), self.offset(4).read())
    }

    /// A discriminant of the width that `n_cases` asks for.
    pub fn read_case(self, n_cases: usize) -> u32 {
        match super::Layout::discriminant(n_cases).size {
            1 => u32::from(self.read::<u8>()),
            2 => u32::from(self.read::<u16>()),
            _ => self.read::<u32>(),
        }
    }

    /// Writes such a discriminant.
    pub fn write_case(self, n_cases: usize, case: u32) {
        match super::Layout::discriminant(n_cases).size {
            1 => self.write(case as u8),
            2 => self.write(case as u16),
            _ => self.write(case),
        }
    }
}

/// Zeroed memory for one value. It is not freed: an instance serves one call, and its memory ends with it.
pub(crate) fn allocate(size: usize, align: usize) -> At {
    if size == 0 {
        return At(align as *mut u8);
    }
    let Ok(layout) = alloc::Layout::from_size_align(size, align) else { out_of_memory() };
    // SAFETY: the size is not zero.
    let address = unsafe { alloc::alloc_zeroed(layout) };
    if address.is_null() {
        alloc::handle_alloc_error(layout);
    }
    At(address)
}

/// Calls an import that writes its result to the address it is given, and takes that result.
#[cfg(target_arch = "wasm32")]
pub(crate) fn receive<T: super::Value>(call: impl FnOnce(*mut u8)) -> T {
    let super::Layout { size, align } = T::LAYOUT;
    let at = allocate(size, align);
    call(at.address());
    let result = T::load(at);
    release(at.address() as usize as u32, size, align);
    result
}

fn out_of_memory() -> ! {
    std::process::abort()
}

/// Takes over a buffer that the host filled through `cabi_realloc`.
pub(crate) fn take<T>(address: u32, len: u32) -> Vec<T> {
    if len == 0 || size_of::<T>() == 0 {
        return Vec::new();
    }
    // SAFETY: the host allocated exactly this many elements with the alignment of `T` and gave the buffer away.
    unsafe { Vec::from_raw_parts(address as usize as *mut T, len as usize, len as usize) }
}

/// The address of a host-filled buffer whose elements are to be converted.
pub(crate) fn borrow(address: u32) -> At {
    At(address as usize as *mut u8)
}

/// Gives a buffer that was converted back to the allocator.
pub(crate) fn release(address: u32, size: usize, align: usize) {
    if size == 0 {
        return;
    }
    if let Ok(layout) = alloc::Layout::from_size_align(size, align) {
        // SAFETY: the buffer was allocated by `cabi_realloc` with this layout and nothing refers to it any more.
        unsafe { alloc::dealloc(address as usize as *mut u8, layout) }
    }
}

/// Gives a buffer to the host.
pub(crate) fn give<T>(items: Vec<T>) -> (u32, u32) {
    let items = items.into_boxed_slice();
    let len = items.len() as u32;
    (Box::into_raw(items).cast::<u8>() as usize as u32, len)
}

/// Runs the constructors of C libraries before the first job function.
///
/// That the linker's function is called by name matters more than the call: otherwise the linker puts it in front of
/// every exported function, also of `cabi_realloc`, in which a component may not call out, and then a constructor that
/// asks for the granted folders is a trap.
#[cfg(target_arch = "wasm32")]
pub(crate) fn run_constructors_once() {
    use std::sync::atomic::{AtomicBool, Ordering};

    static HAVE_RUN: AtomicBool = AtomicBool::new(false);
    unsafe extern "C" {
        fn __wasm_call_ctors();
    }
    if !HAVE_RUN.swap(true, Ordering::Relaxed) {
        // SAFETY: the linker writes this function; it has no arguments and runs once.
        unsafe { __wasm_call_ctors() };
    }
}

/// The function by which the host gets memory for strings and lists.
///
/// # Safety
///
/// The host passes what this function returned before, or zeros.
#[cfg(target_arch = "wasm32")]
#[unsafe(no_mangle)]
unsafe extern "C" fn cabi_realloc(old: *mut u8, old_size: usize, align: usize, new_size: usize) -> *mut u8 {
    if new_size == 0 {
        return align as *mut u8;
    }
    let address = if old_size == 0 {
        let Ok(layout) = alloc::Layout::from_size_align(new_size, align) else { out_of_memory() };
        // SAFETY: the size is not zero.
        unsafe { alloc::alloc(layout) }
    } else {
        let Ok(layout) = alloc::Layout::from_size_align(old_size, align) else { out_of_memory() };
        // SAFETY: the host passes what this function returned for that layout.
        unsafe { alloc::realloc(old, layout, new_size) }
    };
    if address.is_null() {
        out_of_memory();
    }
    address
}
